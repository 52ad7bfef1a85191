//! `onlay store serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use crate::cli::output;
use crate::cli::report::Error;
use crate::store::serve::{Served, Server};
use crate::sys::SignalFd;

/// Show a store by HTTP, for a local network or a test
///
/// It shows what the store lists and nothing else of the directory, until it is
/// ended by Ctrl-C or SIGTERM. For the Internet, any web server will do: a store
/// is a plain directory.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Where to listen: ADDRESS:PORT, or a port of all addresses; port 0 is any
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", value_parser = address)]
    listen: SocketAddr,
}

fn address(word: &str) -> Result<SocketAddr, String> {
    let port = || word.parse().map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    word.parse()
        .or_else(|_| port())
        .map_err(|_| "give ADDRESS:PORT with an address in digits, or a port".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let signals = SignalFd::block(&[libc::SIGINT, libc::SIGTERM])?;
    let server = Server::listen(&arguments.store, arguments.listen)?;
    for url in urls(server.address()?) {
        output::print(&format!("{url}\n"))?;
    }
    server.run(&signals, &tell)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the server is found.
fn urls(address: SocketAddr) -> Vec<String> {
    let url = |host: &str| format!("http://{host}:{}/", address.port());
    match address.ip() {
        any if any.is_unspecified() => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            vec![url("127.0.0.1"), url(&name)]
        }
        IpAddr::V6(ip) => vec![url(&format!("[{ip}]"))],
        IpAddr::V4(ip) => vec![url(&ip.to_string())],
    }
}

fn tell(served: &Served) {
    output::say(&format!("{} {} {} {}", served.by, served.status, served.bytes, served.request));
}
