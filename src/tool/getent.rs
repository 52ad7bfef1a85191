//! getent(1): asks the host's own resolver, with all that nsswitch.conf(5) says. A static program cannot load what that needs.

use std::io::Read as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Error;

const PROGRAM: &str = "getent";
/// It is looked so often whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// No host has more addresses than fit here.
const LARGEST: u64 = 64 << 10;

/// The addresses of a host by its name, in the order in which they are to be tried; none where nobody knows it, or where that
/// was not known in time.
pub fn addresses(host: &str, patience: Duration) -> Result<Vec<IpAddr>, Error> {
    let started = |source| Error::NotStarted { program: PROGRAM, source };
    let mut command = Command::new(super::find(PROGRAM)?);
    command.args(["ahosts", host]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(started)?;
    let begun = Instant::now();
    while child.try_wait().map_err(started)?.is_none() {
        if begun.elapsed() >= patience {
            // It may have ended just now.
            let _ = child.kill();
            child.wait().map_err(started)?;
            return Ok(Vec::new());
        }
        std::thread::sleep(PAUSE);
    }
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = stdout.take(LARGEST).read_to_string(&mut text);
    }
    Ok(in_order(&text))
}

/// Of lines `ADDRESS STREAM NAME`, one for each kind of socket, the addresses.
fn in_order(text: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        // What is said of a link's own addresses has the link behind it.
        if let Ok(address) = word.split('%').next().unwrap_or_default().parse::<IpAddr>()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_the_order_of_the_resolver() {
        let text =
            "2001:db8::1     STREAM example.org\n2001:db8::1     DGRAM\n192.0.2.7       STREAM\nnonsense\n";
        let found: Vec<String> = in_order(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["2001:db8::1", "192.0.2.7"]);
    }

    #[test]
    fn this_host_knows_itself() {
        let found = addresses("localhost", Duration::from_secs(20)).expect("getent is there");
        assert!(found.iter().any(IpAddr::is_loopback), "{found:?}");
        assert!(
            addresses("no-such-host.invalid", Duration::from_secs(20)).expect("getent is there").is_empty()
        );
    }
}
