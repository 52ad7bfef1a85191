//! An object store that speaks as Amazon's S3 does: one object for each file, which appears whole.

use std::time::Duration;

use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::contents::{Content, Item};
use super::target::{accepted, body, found, patiently};
use super::{Error, Settings, Target};
use crate::fetch::{Address, Body, Sender};

/// A signed request is good for so long: as long as sending the largest object may take.
const VALID: Duration = Duration::from_secs(6 * 60 * 60);
/// Larger ones are not taken in one request (Amazon S3, PutObject).
const LARGEST: u64 = 5 << 30;
/// What an object is noted to have in it.
const DIGEST: &str = "x-amz-meta-sha256";
const REGION: &str = "us-east-1";

/// A bucket, and the objects in it whose names begin with a prefix.
pub(super) struct ObjectStore {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    sender: Sender,
}

impl ObjectStore {
    /// Opens `BUCKET/PREFIX`. Where it is and who publishes is told by options, or the environment as Amazon's own tools read it.
    pub(super) fn open(rest: &str, settings: &Settings) -> Result<ObjectStore, Error> {
        let bad = |why: &str| Error::Address { address: rest.to_owned(), why: why.to_owned() };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(bad("it names no bucket"));
        }
        let credentials = Credentials::from_env().ok_or_else(|| {
            Error::Credentials("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set".to_owned())
        })?;
        let said = |names: &[&str]| {
            names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let region = settings.region.clone().or_else(|| said(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.unwrap_or_else(|| REGION.to_owned());
        let own = settings.endpoint.clone().or_else(|| said(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        // Others' servers seldom have a host for each bucket.
        let style = if own.is_some() { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = own.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let home =
            Address::of_file(&endpoint).map_err(|why| bad(&format!("the endpoint '{endpoint}': {why}")))?;
        let url = endpoint.parse().map_err(|_| bad(&format!("the endpoint '{endpoint}' is no URL")))?;
        let bucket = Bucket::new(url, style, name.to_owned(), region)
            .map_err(|_| bad(&format!("there can be no bucket '{name}' at {endpoint}")))?;
        let mut prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        Ok(ObjectStore { bucket, credentials, prefix, sender: Sender::new(&home, settings.options.clone()) })
    }

    fn key(&self, file: &str) -> String {
        format!("{}{file}", self.prefix)
    }

    fn signed<'a>(&'a self, action: &impl S3Action<'a>) -> Result<Address, Error> {
        let url = action.sign(VALID).to_string();
        Address::of_file(&url).map_err(|why| Error::Address { address: self.bucket.name().to_owned(), why })
    }

    /// A list is asked for anew each time; what never changes under its name may be kept by whoever is between.
    fn kept_for(item: &Item) -> &'static str {
        if item.is_list { "no-cache" } else { "public, max-age=31536000, immutable" }
    }
}

/// What browsers are told that a page is; of all else, they are told that it is bytes.
fn kind(file: &str) -> Option<&'static str> {
    match file.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "atom" => Some("application/atom+xml; charset=utf-8"),
        _ => None,
    }
}

impl Target for ObjectStore {
    fn read(&mut self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let key = self.key(file);
        patiently(self.sender.options(), || {
            let address = self.signed(&self.bucket.get_object(Some(&self.credentials), &key))?;
            let reply = found(self.sender.get(&address, &[], limit)?, &format!("a question for '{file}'"))?;
            Ok(reply.map(|reply| reply.bytes))
        })
    }

    fn has(&mut self, item: &Item) -> Result<bool, Error> {
        let key = self.key(&item.file);
        patiently(self.sender.options(), || {
            let address = self.signed(&self.bucket.head_object(Some(&self.credentials), &key))?;
            let reply = self.sender.send("HEAD", &address, &[], Body::None)?;
            let reply = found(reply, &format!("a question for '{}'", item.file))?;
            Ok(reply.is_some_and(|reply| reply.header(DIGEST) == Some(&*item.sha256.to_string())))
        })
    }

    fn expect_to_take(&self, item: &Item) -> Result<(), Error> {
        let Item { file, size, .. } = item;
        if *size > LARGEST {
            return Err(Error::TooLarge { file: file.clone(), size: *size, largest: LARGEST });
        }
        Ok(())
    }

    fn put(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error> {
        let what = format!("'{}'", item.file);
        let (key, digest) = (self.key(&item.file), item.sha256.to_string());
        patiently(self.sender.options(), || {
            let mut action = self.bucket.put_object(Some(&self.credentials), &key);
            action.headers_mut().insert(DIGEST, digest.as_str());
            let address = self.signed(&action)?;
            let mut fields =
                vec![(DIGEST, digest.clone()), ("cache-control", ObjectStore::kept_for(item).to_owned())];
            fields.extend(kind(&item.file).map(|kind| ("content-type", kind.to_owned())));
            accepted(self.sender.send("PUT", &address, &fields, body(content)?)?, &what).map(|_| ())
        })
    }

    fn remove(&mut self, file: &str) -> Result<(), Error> {
        let key = self.key(file);
        patiently(self.sender.options(), || {
            let address = self.signed(&self.bucket.delete_object(Some(&self.credentials), &key))?;
            let reply = self.sender.send("DELETE", &address, &[], Body::None)?;
            found(reply, &format!("the removal of '{file}'")).map(|_| ())
        })
    }
}
