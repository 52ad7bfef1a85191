//! Package files made by hand, right ones and hostile ones.

mod damage;
mod deb;
mod made;
mod rpm;
