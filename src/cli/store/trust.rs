//! What a person has to know of keys who is to trust them.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::cli::output;
use crate::cli::report::Error;
use crate::store::openpgp::{Certificates, Refusal, armoured};

/// A key, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    fingerprint: String,
    name: String,
    /// RFC 3339; none where it never ends.
    expires: Option<String>,
    /// Why it cannot be used; none where it can.
    refused: Option<String>,
    /// In armour: all that are in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

pub(super) fn shown(certificates: &Certificates) -> Vec<Shown> {
    let ends = certificates.ends(SystemTime::now());
    let all = certificates.fingerprints().into_iter().zip(certificates.users()).zip(ends);
    let one = |((fingerprint, name), end): ((_, String), Result<Option<SystemTime>, Refusal>)| {
        let (expires, refused) = match end {
            Ok(end) => (end.map(|end| humantime::format_rfc3339_seconds(end).to_string()), None),
            Err(refusal) => (None, Some(ToString::to_string(&refusal))),
        };
        Shown { fingerprint: ToString::to_string(&fingerprint), name, expires, refused, certificate: None }
    };
    all.map(one).collect()
}

impl Shown {
    pub(super) fn with_certificate(self, binary: &[u8]) -> Shown {
        Shown { certificate: Some(armoured(binary)), ..self }
    }
}

/// Says what keys are, and how clients trust them. `file` has the certificate.
pub(super) fn tell(certificates: &Certificates, file: &Path) -> Result<(), Error> {
    let mut text = String::new();
    let all = shown(certificates);
    for key in &all {
        let until = match (&key.refused, &key.expires) {
            (Some(refused), _) => refused.clone(),
            (None, Some(expires)) => format!("until {}", &expires[..10]),
            (None, None) => "for ever".to_owned(),
        };
        text.push_str(&format!("{}  {}, {until}\n", key.fingerprint, output::visible(&key.name)));
    }
    let list = all.iter().map(|key| format!("\"{}\"", key.fingerprint)).collect::<Vec<_>>().join(", ");
    let onlay = output::program();
    text.push_str(&format!(
        "\nIts certificate, which is no secret, for clients and for whoever verifies:\n    \
         {onlay} store key show --certificate {} >tools.asc\n\
         A store that it signs has it, too: key.asc (text) and key.gpg (a keyring). A client\n\
         compares the fingerprint by another way than the store's.\n\n\
         For onlay: tools.asc in /etc/onlay/keys, and in /etc/onlay/onlay.toml\n    \
         [store.tools]\n    url = \"https://…\"\n    keys = [{list}]\n\n{SYSTEMD}",
        output::shell_word(file)
    ));
    output::print(&text)
}

/// Where systemd looks for keys.
const SYSTEMD: &str = "\
For systemd-sysupdate and importctl: key.gpg in a keyring
    /etc/systemd/import-pubring.gpg    of systemd 257 and older
    /etc/systemd/import-pubring.pgp    of systemd 258 and later
A keyring that is not there yet is a copy of key.gpg; to one that is, it is appended:
    cat key.gpg >>/etc/systemd/import-pubring.gpg
Up to systemd 257, the one in /etc stands instead of /usr/lib/systemd/import-pubring.gpg:
begin with a copy of that, where its keys are to stay.
";
