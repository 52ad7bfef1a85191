//! A disk image: its partitions, and whether it is what its maker made.

use std::path::Path;

use serde::Serialize;

use crate::cli::report::Error;
use crate::extension::{self, of_disk};
use crate::image::FileSource;
use crate::image::ddi::{
    Ddi, Origin, Part, SignatureProblem, SignatureReport, TreeReport, Trusted, Verification,
};
use crate::sys::Root;

/// A disk image, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    /// What its first partition with files is, in the words of the specification.
    partition: String,
    /// What is wrong with the table of partitions.
    flaws: Vec<String>,
    /// Bytes before the file system image.
    #[serde(skip)]
    pub(super) offset: u64,
    /// Bytes of it.
    #[serde(skip)]
    pub(super) length: u64,
    verification: Verification,
}

impl Disk {
    /// Reads a disk image and checks all of its blocks; the signature by the certificates that a root trusts.
    pub(super) fn read(source: &FileSource, path: &Path, root: &Root) -> Result<Disk, Error> {
        let ddi = Ddi::read(source).map_err(of_disk(path))?;
        let part = first(&ddi).ok_or_else(|| extension::Error::NoRoot(path.to_owned()))?;
        let certificates = Trusted::read(root)?.certificates;
        let verification = part.verify(source, &certificates, None).map_err(of_disk(path))?;
        Ok(Disk {
            partition: part.data.label.clone(),
            flaws: ddi.table.flaws.iter().map(ToString::to_string).collect(),
            offset: part.data.offset,
            length: part.data.length,
            verification,
        })
    }

    /// Whether nothing contradicts what it says of itself. That nobody is known who signed it does not.
    pub(super) fn is_sound(&self) -> bool {
        let Verification { tree, signature, .. } = &self.verification;
        let is_signature_sound = match signature {
            SignatureReport::Absent | SignatureReport::Good { .. } => true,
            SignatureReport::Bad { problem, .. } => *problem == SignatureProblem::UnknownSigner,
            _ => false,
        };
        is_signature_sound && tree.as_ref().is_none_or(TreeReport::is_sound)
    }

    /// Rows for people.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let flaws =
            if self.flaws.is_empty() { String::new() } else { format!("; {}", self.flaws.join("; ")) };
        let tree = self.tree();
        let mut rows = vec![("partition", format!("{}{flaws}", self.partition)), ("hash tree", tree)];
        if let Some(tree) = &self.verification.tree {
            rows.push(("root hash", tree.root_hash.to_string()));
        }
        rows.push(("signature", self.signature()));
        rows
    }

    fn tree(&self) -> String {
        let Some(tree) = &self.verification.tree else {
            return "none: nobody notices what is changed".to_owned();
        };
        if tree.is_sound() {
            let by = match self.verification.root_hash_from {
                Some(Origin::Signature) => "the signature",
                _ => "the partitions' GUIDs",
            };
            return format!("all {} blocks are as the root hash says, which {by} has", tree.data_blocks);
        }
        let bad = [
            ("data", &tree.bad_data),
            ("the tree", &tree.bad_tree),
            ("data under these", &tree.unknown_data),
        ];
        let bad = bad.into_iter().filter(|(_, blocks)| blocks.count > 0);
        let words: Vec<String> = bad.map(|(what, blocks)| format!("blocks of {what}: {blocks}")).collect();
        format!("NOT as it was made: {}", words.join("; "))
    }

    fn signature(&self) -> String {
        match &self.verification.signature {
            SignatureReport::Absent => "none".to_owned(),
            SignatureReport::Unreadable => "cannot be read".to_owned(),
            SignatureReport::Good { subject, fingerprint } => format!("good, by {subject} ({fingerprint})"),
            SignatureReport::Bad { problem, .. } => format!("not trusted: {problem}"),
            SignatureReport::Foreign { .. } => "of another root hash".to_owned(),
        }
    }
}

/// What a machine would take of it, whatever processor it has: what is for `/`, or else for `/usr`.
fn first(ddi: &Ddi) -> Option<&Part> {
    ddi.parts.iter().min_by_key(|part| part.designator)
}
