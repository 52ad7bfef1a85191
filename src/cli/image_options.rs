//! How an image is made: what `onlay build` and `onlay save` have in common on the command line.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::report::Error;
use crate::extension::build::{self, Envelope, ImageFormat, Matching, Recipe};
use crate::image::Format;
use crate::image::ddi::Signer;
use crate::image::squashfs::{self, Compression};
use crate::sys::Context;

// How an image is made: no words of help, which would be those of the command that has these options.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the image goes
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(super) output: PathBuf,
    /// The extension's version [default: that of the package it is named after, else of
    /// the first]
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<String>,
    /// Which hosts systemd is to take it for: those like the base (of its SYSEXT_LEVEL,
    /// else of its version), those of its version, or any
    #[arg(long = "match", value_enum, value_name = "WHICH")]
    pub(super) matching: Option<Matching>,
    /// Leave files out: a pattern such as 'usr/share/doc/**'
    #[arg(long, value_name = "PATTERN")]
    pub(super) drop: Vec<String>,
    /// Leave these in all the same
    #[arg(long, value_name = "PATTERN")]
    pub(super) keep: Vec<String>,
    /// Let packages hide older versions that the base has
    #[arg(long)]
    pub(super) replace: bool,
    /// Have systemd read its units again when the extension comes or goes
    #[arg(long)]
    pub(super) reload: bool,
    /// Have systemd (262 or newer) restart a unit when the extension comes or goes
    #[arg(long, value_name = "UNIT")]
    pub(super) restart: Vec<String>,
    /// Label files (SELinux) by the policy that the base has [default: auto], by none (no), or by a list of labels
    /// (a path with '/' in it)
    #[arg(long, value_name = "auto|no|FILE_CONTEXTS")]
    pub(super) selinux: Option<String>,
    /// zstd:1 to zstd:22, lz4, none; squashfs also xz:0 to xz:9, gzip:1 to gzip:9
    /// [default: zstd:3]
    #[arg(long, value_name = "HOW")]
    pub(super) compression: Option<String>,
    /// A file system image alone, or a disk image (DDI) with one and a dm-verity hash tree
    /// [default: squashfs, or ddi with --key]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<ImageFormat>,
    /// Sign the hash tree with this key (PEM); the image is a DDI then
    #[arg(long, value_name = "FILE", requires = "certificate", value_hint = ValueHint::FilePath)]
    pub(super) key: Option<PathBuf>,
    /// The certificate of that key (PEM), which hosts have in /etc/verity.d
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub(super) certificate: Option<PathBuf>,
    /// Make the image though it does not fit the base
    #[arg(long)]
    pub(super) unfit: bool,
    /// Say what would go in, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Say it as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Options {
    /// The command line's words on top of a recipe.
    pub(super) fn over(&self, mut recipe: Recipe) -> Recipe {
        recipe.drop.extend(self.drop.iter().cloned());
        recipe.keep.extend(self.keep.iter().cloned());
        recipe.restart.extend(self.restart.iter().cloned());
        recipe.reload |= self.reload;
        recipe.version = self.version.clone().or(recipe.version);
        recipe.selinux = self.selinux.clone().or(recipe.selinux);
        recipe.compression = self.compression.clone().or(recipe.compression);
        recipe.format = self.format.or(recipe.format);
        recipe.matching = self.matching.unwrap_or(recipe.matching);
        recipe
    }

    /// What the file system image goes into.
    pub(super) fn envelope(&self, recipe: &Recipe) -> Result<Envelope, Error> {
        match (&self.key, &self.certificate, recipe.format) {
            (Some(_), Some(_), Some(format)) if !format.is_disk() => {
                let words = "a file system image alone cannot be signed: it takes --format ddi or ddi-erofs";
                Err(Error::Words(words.to_owned()))
            }
            (Some(key), Some(certificate), _) => {
                let read = |path: &PathBuf| std::fs::read(path).context("read", path);
                let signer = Signer::from_pem(&read(key)?, &read(certificate)?);
                let signer = signer.map_err(|problem| Error::Key { key: key.clone(), problem })?;
                Ok(Envelope::Signed(Box::new(signer)))
            }
            (_, _, Some(format)) if format.is_disk() => Ok(Envelope::Verity),
            _ => Ok(Envelope::None),
        }
    }
}

/// How the image is compressed.
pub(super) fn compression(recipe: &Recipe) -> Result<Compression, Error> {
    match &recipe.compression {
        Some(words) => words.parse::<Compression>().map_err(|error| Error::Words(error.to_string())),
        None => Ok(Compression::Zstd(3)),
    }
}

/// Which file system it is.
pub(super) fn file_system(recipe: &Recipe) -> Format {
    recipe.format.map_or(Format::Squashfs, ImageFormat::file_system)
}

/// Refuses a way to compress that the file system does not have.
pub(super) fn check_way(recipe: &Recipe) -> Result<(), Error> {
    let (format, compression) = (file_system(recipe), compression(recipe)?);
    let options = squashfs::Options { format, compression, ..squashfs::Options::new(0) };
    Ok(options.check().map_err(build::Error::from)?)
}
