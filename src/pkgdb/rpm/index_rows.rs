//! The 18 index tables of an rpm database, and exactly the rows that rpm derives for a header
//! (`tag2index` in rpm's rpmdb.cc): one for each value of a tag, with the value's number. The exceptions
//! are told where they are.

use std::borrow::Cow;

use crate::package::header::{Kind, Tags, tag};
use crate::package::relation::{Rich, Sense};

/// An index table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The tag whose values are its keys.
    pub tag: u32,
    /// Whether keys are text; otherwise they are bytes. Text has an index on the keys.
    pub is_text: bool,
    /// Whether a header can have several values; such a table has an index on the headers' numbers.
    pub is_array: bool,
    /// Whether a key can be a rich dependency.
    is_rich: bool,
}

const fn table(name: &'static str, tag: u32) -> Table {
    Table { name, tag, is_text: true, is_array: true, is_rich: false }
}

/// All index tables, in the order in which rpm makes them.
pub const TABLES: [Table; 18] = [
    Table { is_array: false, ..table("Name", tag::NAME) },
    table("Basenames", tag::BASENAMES),
    Table { is_array: false, ..table("Group", tag::GROUP) },
    Table { is_rich: true, ..table("Requirename", tag::REQUIRE_NAME) },
    table("Providename", tag::PROVIDE_NAME),
    Table { is_rich: true, ..table("Conflictname", tag::CONFLICT_NAME) },
    table("Obsoletename", tag::OBSOLETE_NAME),
    table("Triggername", tag::TRIGGER_NAME),
    table("Dirnames", tag::DIRNAMES),
    Table { is_array: false, is_text: false, ..table("Installtid", tag::INSTALL_TID) },
    Table { is_array: false, is_text: false, ..table("Sigmd5", tag::SIG_MD5) },
    Table { is_array: false, ..table("Sha1header", tag::SHA1_HEADER) },
    table("Filetriggername", tag::FILE_TRIGGER_NAME),
    table("Transfiletriggername", tag::TRANS_FILE_TRIGGER_NAME),
    Table { is_rich: true, ..table("Recommendname", tag::RECOMMEND_NAME) },
    Table { is_rich: true, ..table("Suggestname", tag::SUGGEST_NAME) },
    Table { is_rich: true, ..table("Supplementname", tag::SUPPLEMENT_NAME) },
    Table { is_rich: true, ..table("Enhancename", tag::ENHANCE_NAME) },
];

/// A row, but for the header's number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// Which value of the tag it is.
    pub index: u32,
}

impl Table {
    /// The table with this name.
    pub fn named(name: &str) -> Option<&'static Table> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// The rows of a header in this table, in rpm's order.
    pub fn rows<'a>(&self, header: &impl Tags<'a>) -> Vec<Row<'a>> {
        let one = |key: Cow<'a, [u8]>| vec![Row { key, index: 0 }];
        match self.tag {
            tag::GROUP => one(header.string(tag::GROUP).unwrap_or(b"Unknown").into()),
            // As the machine has it in memory.
            tag::INSTALL_TID => header
                .number(tag::INSTALL_TID)
                .map_or(Vec::new(), |number| one((number as u32).to_ne_bytes().to_vec().into())),
            tag::SIG_MD5 => header.bytes(tag::SIG_MD5).map_or(Vec::new(), |bytes| one(bytes.into())),
            tag::REQUIRE_NAME => self.required(header),
            tag::TRIGGER_NAME => first_of_each(self.plain(header)),
            tag::FILE_TRIGGER_NAME => self.numbered(header, tag::FILE_TRIGGER_INDEX),
            tag::TRANS_FILE_TRIGGER_NAME => self.numbered(header, tag::TRANS_FILE_TRIGGER_INDEX),
            _ if self.is_rich => self.with_parts(header, self.plain(header)),
            _ => self.plain(header).collect(),
        }
    }

    fn plain<'a, T: Tags<'a>>(&self, header: &T) -> impl Iterator<Item = Row<'a>> + use<'a, T> {
        let strings = header.strings(self.tag).enumerate();
        strings.map(|(index, key)| Row { key: key.into(), index: index as u32 })
    }

    /// Without what only installing needed.
    fn required<'a>(&self, header: &impl Tags<'a>) -> Vec<Row<'a>> {
        let flags = header.numbers(tag::REQUIRE_FLAGS);
        let is_kept = |row: &Row<'_>| {
            let flags = flags.get(row.index as usize).unwrap_or_default();
            !Sense(flags as u32).is_transient()
        };
        self.with_parts(header, self.plain(header).filter(is_kept))
    }

    /// With a row for each name in rich dependencies, behind that of the whole.
    fn with_parts<'a>(&self, header: &impl Tags<'a>, rows: impl Iterator<Item = Row<'a>>) -> Vec<Row<'a>> {
        let is_array = header.entry(self.tag).is_some_and(|entry| entry.kind == Kind::StringArray);
        let mut found = Vec::with_capacity(rows.size_hint().1.unwrap_or_default().min(1024));
        for row in rows {
            let is_rich = is_array && row.key.starts_with(b"(");
            let text = is_rich.then(|| String::from_utf8_lossy(&row.key).into_owned());
            let index = row.index;
            found.push(row);
            if let Some(Ok(rich)) = text.as_deref().map(Rich::parse) {
                let names = rich.index_names().into_iter();
                found.extend(names.map(|name| Row { key: name.into_bytes().into(), index }));
            }
        }
        found
    }

    /// With the numbers of the triggers that they belong to.
    fn numbered<'a>(&self, header: &impl Tags<'a>, indexes: u32) -> Vec<Row<'a>> {
        let indexes = header.numbers(indexes);
        let number = |row: &Row<'_>| indexes.get(row.index as usize).unwrap_or_default() as u32;
        self.plain(header).map(|row| Row { index: number(&row), ..row }).collect()
    }
}

fn first_of_each<'a>(rows: impl Iterator<Item = Row<'a>>) -> Vec<Row<'a>> {
    let mut seen = std::collections::HashSet::new();
    rows.filter(|row| seen.insert(row.key.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Header;
    use crate::package::header::{Builder, Value};

    fn rows(table: &str, builder: Builder) -> Vec<(String, u32)> {
        let blob = builder.build();
        let header = Header::parse(&blob).expect("a good header");
        let rows = Table::named(table).expect("a table").rows(&header);
        rows.iter().map(|row| (String::from_utf8_lossy(&row.key).into_owned(), row.index)).collect()
    }

    fn strings(words: &[&str]) -> Value {
        Value::Strings(words.iter().map(|word| word.as_bytes().to_vec()).collect())
    }

    fn expect(table: &str, builder: Builder, expected: &[(&str, u32)]) {
        let found = rows(table, builder);
        let found: Vec<(&str, u32)> = found.iter().map(|(key, index)| (&**key, *index)).collect();
        assert_eq!(found, expected, "{table}");
    }

    #[test]
    fn exceptions_are_rpms() {
        let requires = Builder::new()
            .add(tag::REQUIRE_NAME, strings(&["a", "rpmlib(X)", "(b if c)", "d", "e", "(broken"]))
            .add(
                tag::REQUIRE_FLAGS,
                Value::Int32(vec![0, Sense::RPMLIB.0, 0, Sense::POST.0, Sense::POST.0 | Sense::PREUN.0, 0]),
            );
        expect(
            "Requirename",
            requires,
            &[("a", 0), ("(b if c)", 2), ("b", 2), ("!c", 2), ("e", 4), ("(broken", 5)],
        );
        let provides = Builder::new().add(tag::PROVIDE_NAME, strings(&["(a or b)", "c", "c"]));
        expect("Providename", provides, &[("(a or b)", 0), ("c", 1), ("c", 2)]);
        let triggers = Builder::new().add(tag::TRIGGER_NAME, strings(&["a", "b", "a"]));
        expect("Triggername", triggers, &[("a", 0), ("b", 1)]);
        let triggers = Builder::new()
            .add(tag::FILE_TRIGGER_NAME, strings(&["/a", "/b", "/c"]))
            .add(tag::FILE_TRIGGER_INDEX, Value::Int32(vec![1, 1, 0]));
        expect("Filetriggername", triggers, &[("/a", 1), ("/b", 1), ("/c", 0)]);
        expect("Group", Builder::new().add(tag::NAME, Value::String(b"x".to_vec())), &[("Unknown", 0)]);
        let group = Builder::new().add(tag::GROUP, Value::Translated(vec![b"Tools".to_vec()]));
        expect("Group", group, &[("Tools", 0)]);
        let names = Builder::new().add(tag::BASENAMES, strings(&["", "a", "a"]));
        expect("Basenames", names, &[("", 0), ("a", 1), ("a", 2)]);
    }

    #[test]
    fn keys_of_bytes_are_bytes() {
        let blob = Builder::new()
            .add(tag::NAME, Value::String(b"x".to_vec()))
            .dribble(tag::SIG_MD5, Value::Binary((0..16).collect()))
            .dribble(tag::INSTALL_TID, Value::Int32(vec![0x0102_0304]))
            .build();
        let header = Header::parse(&blob).expect("a good header");
        let key = |name: &str| Table::named(name).expect("a table").rows(&header)[0].key.to_vec();
        assert_eq!(key("Sigmd5"), (0..16).collect::<Vec<u8>>());
        assert_eq!(key("Installtid"), 0x0102_0304_u32.to_ne_bytes());
    }
}
