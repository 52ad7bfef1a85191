//! The packages of a database, as a merge has to know them: found at a glance at each header.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::at_once::ask_all;
use super::database::Store;
use super::keys::Keys;
use super::{Database, Fingerprint, Hnum, Stored, may_be_there_twice};
use crate::package::header::{Glance, Malformed, Tags, tag};
use crate::package::{Evr, Header, Identity};
use crate::pkgdb::Error;

/// What a merge has to know of a header.
#[derive(Debug, Clone)]
pub struct Known {
    /// Name.
    pub name: Arc<str>,
    /// Architecture.
    pub arch: Arc<str>,
    /// Version.
    pub evr: Evr<'static>,
    /// Whether several versions may be there at once.
    pub is_multiple: bool,
    /// What tells the package from any other, wherever and whenever it is installed.
    pub identity: Identity,
    /// The same by the digests that the header has of itself, where it has them.
    pub fingerprint: Option<Fingerprint>,
}

/// A package in a database.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is known of it, in whatever database it is.
    pub known: Arc<Known>,
    /// The number of its header.
    pub number: Hnum,
    /// When it was installed, in seconds since 1970.
    pub installed: u64,
    /// What its header says of the states of its files: their digest.
    pub(super) states: Identity,
}

/// The packages of a database.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: Vec<Entry>,
    /// Headers that are no packages.
    unreadable: Vec<Stored>,
}

impl Known {
    fn of(header: &Glance<'_>) -> Known {
        Known {
            name: header.text(tag::NAME).unwrap_or_default().into(),
            arch: header.text(tag::ARCH).unwrap_or_default().into(),
            evr: header.evr().into_owned(),
            is_multiple: may_be_there_twice(header),
            identity: header.package_identity(),
            fingerprint: Fingerprint::of(header),
        }
    }
}

impl Entry {
    fn of(number: Hnum, header: &Glance<'_>, known: Arc<Known>) -> Entry {
        let states = header.entry(tag::FILE_STATES).map_or(&[][..], |entry| entry.data);
        let installed = header.number(tag::INSTALL_TIME).unwrap_or_default();
        Entry { known, number, installed, states: Identity::of(states) }
    }
}

impl Catalog {
    /// Reads all packages of a database. Headers that cannot be read are nobody's package, and stay where they are;
    /// [`super::merge::plan`] refuses them where they are not the same on both sides.
    pub fn of(database: &Database) -> Result<Catalog, Error> {
        Elsewhere::of([]).catalog(&database.store, readable, None)
    }

    /// The same of two at once, where these packages are known from elsewhere: what their headers say they are is not
    /// found out again.
    pub fn of_both(
        known: &[Arc<Known>],
        ours: &Database,
        theirs: &Database,
    ) -> Result<(Catalog, Catalog), Error> {
        let elsewhere = Elsewhere::of(known);
        let both = ask_all(&[ours, theirs], |store| {
            // Where names will be looked up, they are seen on the way.
            let mut keys = store.has_no_tables().then(Box::<Keys>::default);
            let catalog = elsewhere.catalog(store, |blob| Glance::of(blob), keys.as_deref_mut())?;
            Ok((catalog, keys))
        })?;
        let mut both = both.into_iter().zip([ours, theirs]).map(|((catalog, keys), database)| {
            database.keep(keys);
            catalog
        });
        let (mut our, mut their) = both.next().zip(both.next()).expect("two were asked");
        // What both have is not looked at any closer.
        let [of_ours, of_theirs] = [&our, &their].map(Catalog::identities);
        our.give_up(ours, |entry| !of_theirs.contains(&entry.known.identity))?;
        their.give_up(theirs, |entry| !of_ours.contains(&entry.known.identity))?;
        Ok((our, their))
    }

    /// What is known of all packages of a database, without a look at most of those that are in these two catalogues,
    /// too: its tables tell their fingerprints.
    ///
    /// A table that tells something else than the headers could have a merge decide wrongly. Where both catalogues have
    /// the same package, that is what comes of it, whatever was there before; where they have not, the header itself is
    /// looked at. For one to be passed over, the tables of both digests and that of names must all tell of it what they
    /// would of another package, which both have.
    pub fn known(database: &Database, catalogs: [&Catalog; 2]) -> Result<Vec<Arc<Known>>, Error> {
        let entries = catalogs.into_iter().flat_map(Catalog::entries);
        let elsewhere = Elsewhere::of(entries.map(|entry| &entry.known));
        let disputed = disputed(catalogs);
        let named = database.named(disputed.iter().copied())?;
        let mut found = Vec::new();
        for (number, fingerprint) in database.fingerprints()? {
            let known = fingerprint.and_then(|fingerprint| elsewhere.0.get(&fingerprint));
            if let Some(known) =
                known.filter(|known| !named.contains(&number) && !disputed.contains(&*known.name))
            {
                found.push(Arc::clone(known));
                continue;
            }
            let blob = database.blob(number)?.unwrap_or_default();
            found.extend(readable(&blob).ok().map(|header| Arc::new(Known::of(&header))));
        }
        Ok(found)
    }

    /// All packages.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn identities(&self) -> HashSet<Identity> {
        self.entries.iter().map(|entry| entry.known.identity).collect()
    }

    /// Takes what cannot be read out of those packages that are asked for: a glance may not have seen it.
    fn give_up(&mut self, database: &Database, is_asked: impl Fn(&Entry) -> bool) -> Result<(), Error> {
        let mut unreadable = HashSet::new();
        for entry in self.entries.iter().filter(|entry| is_asked(entry)) {
            let blob = database.blob(entry.number)?.unwrap_or_default();
            if Header::parse(&blob).is_err() {
                unreadable.insert(entry.number);
                self.unreadable.push(Stored { number: entry.number, identity: Identity::of(&blob) });
            }
        }
        self.entries.retain(|entry| !unreadable.contains(&entry.number));
        Ok(())
    }

    /// A header that cannot be read may be any package: where the other side has it not as well, nobody can say what
    /// became of that.
    pub(super) fn refuse_unreadable(&self, database: &Database, other: &Catalog) -> Result<(), Error> {
        let others: HashSet<Identity> = other.unreadable.iter().map(|stored| stored.identity).collect();
        match self.unreadable.iter().find(|stored| !others.contains(&stored.identity)) {
            Some(stored) => Err(Error::Damaged {
                path: database.path().to_owned(),
                what: format!("header {} cannot be read", stored.number),
            }),
            None => Ok(()),
        }
    }
}

/// The names of which two catalogues have different packages.
fn disputed(catalogs: [&Catalog; 2]) -> HashSet<&str> {
    let [ours, theirs] = catalogs.map(Catalog::identities);
    let one_sided =
        |entry: &&Entry| ours.contains(&entry.known.identity) != theirs.contains(&entry.known.identity);
    let entries = catalogs.into_iter().flat_map(Catalog::entries).filter(one_sided);
    entries.map(|entry| &*entry.known.name).collect()
}

/// How a header is looked at.
type Look = for<'a> fn(&'a [u8]) -> Result<Glance<'a>, Malformed>;

/// Looks at all of it first.
fn readable(blob: &[u8]) -> Result<Glance<'_>, Malformed> {
    Header::parse(blob).and_then(|_| Glance::of(blob))
}

/// Packages that are known from elsewhere, by their fingerprints.
struct Elsewhere<'a>(HashMap<Fingerprint, &'a Arc<Known>>);

impl<'a> Elsewhere<'a> {
    fn of(known: impl IntoIterator<Item = &'a Arc<Known>>) -> Elsewhere<'a> {
        Elsewhere(known.into_iter().filter_map(|known| Some((known.fingerprint?, known))).collect())
    }

    /// What a header says it is, which is not found out again where it is known.
    fn know(&self, header: &Glance<'_>) -> Arc<Known> {
        let found = Fingerprint::of(header).and_then(|fingerprint| self.0.get(&fingerprint));
        found.map_or_else(|| Arc::new(Known::of(header)), |known| Arc::clone(known))
    }

    fn catalog(&self, store: &Store, look: Look, mut keys: Option<&mut Keys>) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        store.each(&mut |number, blob| {
            match look(blob) {
                Ok(header) => {
                    catalog.entries.push(Entry::of(number, &header, self.know(&header)));
                    if let Some(keys) = &mut keys {
                        keys.add(number, &header);
                    }
                }
                Err(_) => catalog.unreadable.push(Stored { number, identity: Identity::of(blob) }),
            }
            Ok(())
        })?;
        Ok(catalog)
    }
}
