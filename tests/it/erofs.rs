//! Erofs images: ours as the kernel and erofs-utils read them, and those of every maker as we do.

mod faults;
mod read;
mod written;

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use onlay::image::file_system::{self, FileSystem, Found, walk};
use onlay::image::tree::{Kind, Metadata, Node, Tree};
use onlay::image::{Error, FileSource};

use crate::squashfs::bed::{digest, lines};

/// All that our reader finds, as of a directory.
fn found(image: &Path) -> Vec<String> {
    let reader = opened(image).expect("it is an image");
    let mut tree = Tree::new(Metadata::default());
    let mut known = HashMap::new();
    walk(&*reader, image, |path, found| -> Result<(), Error> {
        let node = node(&reader, found)?;
        if path.is_empty() {
            *tree.metadata_mut(tree.root()) = node.metadata;
        } else if let Some(id) = known.get(&found.place) {
            tree.link(path, *id).expect("names are there once");
        } else {
            known.insert(found.place, tree.insert(path, node).expect("names are there once"));
        }
        Ok(())
    })
    .expect("it can be read");
    lines(&tree)
}

fn opened(image: &Path) -> Result<Arc<dyn FileSystem>, Error> {
    let file = fs::File::open(image).expect("it was written");
    file_system::open(Box::new(FileSource::new(&file, image)?), image)
}

fn node(reader: &Arc<dyn FileSystem>, found: &Found) -> Result<Node<(u64, String)>, Error> {
    let kind = match &found.kind {
        Kind::File(size) => {
            let places = Arc::clone(reader).open(found)?;
            let digest = digest(Stream { places, at: 0 });
            assert_eq!(digest.0, *size);
            Kind::File(digest)
        }
        Kind::Directory(_) => Kind::Directory(std::collections::BTreeMap::new()),
        Kind::Symlink(target) => Kind::Symlink(target.clone()),
        Kind::CharacterDevice(device) => Kind::CharacterDevice(*device),
        Kind::BlockDevice(device) => Kind::BlockDevice(*device),
        Kind::Fifo => Kind::Fifo,
        Kind::Socket => Kind::Socket,
    };
    let Found { mode, uid, gid, mtime, .. } = *found;
    Ok(Node::new(Metadata { mode, uid, gid, mtime, xattrs: reader.xattrs(found)? }, kind))
}

/// A file of an image, from its beginning to its end.
struct Stream {
    places: Box<dyn file_system::Places>,
    at: u64,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // In pieces that begin anywhere.
        let length = buffer.len().min(10_007);
        let count = self.places.read_at(self.at, &mut buffer[..length]).map_err(std::io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}
