//! What a deployment says of the layers in it, in a file below its /usr: so whoever goes back to an older one goes back to what was asked
//! for then.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Requests};
use crate::sys::Root;

/// Where it is, from the root of a deployment.
pub const PLACE: &str = "usr/lib/onlay/layers.json";

/// More than a thousand packages have.
const LARGEST: u64 = 16 << 20;

/// The version of the format that is written.
const FORMAT: u32 = 1;

/// What is in a deployment beyond its base, and why. Fields may be added; those that are there keep their meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// What it was made from.
    pub base: BaseNote,
    /// What was asked for.
    pub requests: Requests,
    /// Requests that the base satisfies by itself, and that count again when it no longer does.
    pub inactive: BTreeSet<String>,
    /// The packages that it has beyond its base, by name.
    pub packages: Vec<Installed>,
    /// Packages of the base that it lacks.
    pub without: Vec<String>,
}

/// A base, as its backend names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BaseNote {
    /// Where newer ones come from: a refspec of ostree's (`REMOTE:REF`); none where it was a commit alone.
    pub refspec: Option<String>,
    /// What it is: the checksum of a commit. Empty where there is no base by itself, as on hosts with snapshots.
    pub id: String,
    /// Its version, in its maker's words.
    pub version: Option<String>,
}

/// A package beyond the base.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version, in its package manager's words.
    pub version: String,
    /// Its architecture, in its package manager's words.
    pub architecture: String,
    /// Whether it was asked for; else another one needs it.
    pub is_requested: bool,
    /// The version that the base has in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

impl BaseNote {
    /// Its version; the beginning of what it is, where it has none.
    pub fn label(&self) -> &str {
        self.version.as_deref().unwrap_or_else(|| self.id.get(..12).unwrap_or(&self.id))
    }
}

impl Manifest {
    /// Reads a deployment's; none where it is a base.
    pub fn read(deployment: &Root) -> Result<Option<Manifest>, Error> {
        let bytes = match deployment.read(PLACE, LARGEST) {
            Err(error) if error.is_not_found() => return Ok(None),
            bytes => bytes?,
        };
        let bad = |problem: String| Error::Manifest { path: deployment.join(PLACE), problem };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if manifest.format == 0 || manifest.format > FORMAT {
            return Err(bad(format!("it has format {}, and this program knows {FORMAT}", manifest.format)));
        }
        Ok(Some(manifest))
    }

    /// The package of that name beyond the base.
    pub fn package(&self, name: &str) -> Option<&Installed> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// Whether a deployment of this one and one of the other have the same in them.
    pub fn is_as(&self, other: &Manifest) -> bool {
        let comparable = |manifest: &Manifest| Manifest { format: FORMAT, ..manifest.clone() };
        comparable(self) == comparable(other)
    }

    /// As it is written: the same for the same.
    pub fn to_bytes(&self) -> Vec<u8> {
        let manifest = Manifest { format: FORMAT, ..self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&manifest).expect("strings and numbers");
        bytes.push(b'\n');
        bytes
    }
}
