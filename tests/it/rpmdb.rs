//! rpm's database, with rpm itself as the judge: packages that rpmbuild made, databases that rpm wrote, and
//! what rpm says of those that we wrote.

mod damage;
mod dumps;
mod faults;
pub(crate) mod lab;
mod locks;
mod merging;
mod ndb;
mod packages;
mod pages;
mod reading;
mod tables;
mod versions;
mod writing;
