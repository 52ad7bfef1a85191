//! `onlay ext list`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Place, search};
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::extension::activate::{self, Listed, State};
use crate::host::Host;
use crate::store::client::pins;

/// So many packages are named in the table.
const FEW: usize = 4;

/// List extensions: version, size, whether they are merged and fit, and their
/// packages
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// List what stores have instead, as 'onlay ext search' does
    #[arg(long)]
    available: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print only the names of those that were added, one on each line
    #[arg(long, conflicts_with = "json")]
    names: bool,
}

/// One extension, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Row {
    pub(in crate::cli) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) version: Option<String>,
    /// Where it is.
    path: String,
    /// Bytes of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    pub(in crate::cli) state: State,
    /// Why it is in that state, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) why: Option<String>,
    /// Whether it fits; nothing where nobody has judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
    /// Its packages, where its manifest says them.
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Vec<String>>,
    /// Whether no update changes it.
    pinned: bool,
    /// Whose it is: `onlay`, or somebody else's.
    by: &'static str,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.available {
        return search::all(place, arguments.json);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    if let Some(name) = crate::shell::inside() {
        return Err(crate::live::Error::Inside { name }.into());
    }
    if arguments.names {
        let names = activate::names(&Host::open(&place.root)?, &place.state)?;
        return names
            .iter()
            .try_for_each(|name| output::print(&format!("{name}\n")))
            .map(|()| ExitCode::SUCCESS);
    }
    let rows = rows(place)?;
    if arguments.json {
        output::print_json(&rows)?;
    } else if rows.is_empty() {
        output::say("onlay: there are no extensions");
    } else {
        output::print(&table(&rows))?;
        // What is merged here and now, and not in another root.
        if Host::open(&place.root)?.is_running {
            let remarks = activate::Record::read()?.remarks;
            for remark in remarks.iter().filter(|remark| !remark.is_of_host()) {
                output::say(&format!("onlay: {}", output::visible(&remark.to_string())));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn rows(place: &Place) -> Result<Vec<Row>, Error> {
    let host = Host::open(&place.root)?;
    let (pins, links) = (pins(&host.root)?, activate::enabled(&host.root)?);
    let is_pinned =
        |listed: &Listed| pins.has(&listed.name) && links.iter().any(|link| link.image == listed.path);
    let rows = activate::list(&host, &place.state)?.into_iter();
    Ok(rows.map(|listed| Row { pinned: is_pinned(&listed), ..Row::of(listed) }).collect())
}

impl Row {
    fn of(listed: Listed) -> Row {
        Row {
            name: listed.name,
            version: listed.version,
            path: listed.path.display().to_string(),
            size: listed.size,
            state: listed.state,
            why: listed.why.map(|why| output::as_typed(&why)),
            fits: listed.fits,
            packages: listed.packages,
            pinned: false,
            by: if listed.is_ours { "onlay" } else { "others" },
        }
    }

    /// Its state in words.
    pub(in crate::cli) fn state(&self) -> &'static str {
        match self.state {
            State::Active => "active",
            State::NextBoot => "next boot",
            State::HeldBack => "held back",
            State::Disabled => "disabled",
            State::NotMerged => "not merged",
            State::Unreadable => "unreadable",
        }
    }

    pub(in crate::cli) fn is_ours(&self) -> bool {
        self.by == "onlay"
    }
}

/// A table, and below it what there is to say of some rows.
fn table(rows: &[Row]) -> String {
    let title = ["NAME", "VERSION", "SIZE", "STATE", "FIT", "PACKAGES"].map(str::to_owned).to_vec();
    let mut lines = vec![title];
    for row in rows {
        let packages = match &row.packages {
            _ if !row.is_ours() => format!("(of others, {})", output::visible(&row.path)),
            None => "-".to_owned(),
            Some(packages) if packages.is_empty() => "-".to_owned(),
            Some(packages) if packages.len() > FEW => counted(packages.len(), "package"),
            Some(packages) => packages.join(", "),
        };
        lines.push(vec![
            output::visible(&row.name),
            row.version.as_deref().map_or("-".to_owned(), output::visible),
            row.size.map_or("-".to_owned(), output::size),
            if row.pinned { format!("{}, pinned", row.state()) } else { row.state().to_owned() },
            match row.fits {
                Some(true) => "yes",
                Some(false) => "no",
                None => "-",
            }
            .to_owned(),
            output::visible(&packages),
        ]);
    }
    let mut text = output::table(&lines);
    for row in rows {
        if let Some(why) = &row.why {
            text.push_str(&output::visible(&format!("{}: {}: {why}", row.name, row.state())));
            text.push('\n');
        }
    }
    text
}
