//! Images written and read again, changed by one byte, and made to mislead.

use std::fs::File;
use std::path::Path;

use super::gpt::{self, Header};
use super::*;

const KEY: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ddi/rsa.key"));
const CERTIFICATE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ddi/rsa.crt"));

fn signer() -> Signer {
    Signer::from_pem(KEY, CERTIFICATE).expect("a key and its certificate")
}

fn file_of(content: &[u8]) -> File {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("room for it");
    file
}

fn bytes_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().expect("a file").len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).expect("a whole file");
    bytes
}

/// Something that no two blocks are alike in.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 4096 * 7 + index % 251) as u8).collect()
}

fn request<'a>(payload: Payload<'a>, protection: Protection<'a>) -> Request<'a> {
    Request { payload, architecture: Architecture::X86_64, designator: Designator::Root, protection }
}

fn image(content: &[u8], protection: Protection<'_>) -> (Vec<u8>, Written) {
    let (from, to) = (file_of(content), file_of(b""));
    let name = Path::new("payload");
    let written = write(&request(Payload::File(&from, name), protection), &to, Path::new("image"));
    (bytes_of(&to), written.expect("an image"))
}

fn read(bytes: &[u8]) -> Ddi {
    Ddi::read(&bytes).expect("an image")
}

fn verify(bytes: &[u8]) -> Verification {
    let certificate = Certificate::from_pem(CERTIFICATE).expect("a certificate");
    read(bytes).parts[0].verify(&bytes, &[certificate], None).expect("all can be read")
}

#[test]
fn what_was_written_is_read() {
    let signer = signer();
    for length in [1, 4095, 4096, 4097, 128 * 4096, 128 * 4096 + 1] {
        let content = payload(length);
        for (protection, partitions) in
            [(Protection::Nothing, 1), (Protection::Verity, 2), (Protection::Signed(&signer), 3)]
        {
            let (bytes, written) = image(&content, protection);
            let ddi = read(&bytes);
            assert_eq!((ddi.table.partitions.len(), &ddi.table.flaws), (partitions, &vec![]));
            assert_eq!(written.size, bytes.len() as u64);
            let data = &ddi.part(Architecture::X86_64).expect("the part").data;
            assert_eq!((data.offset, data.length), (PAYLOAD_OFFSET, length.next_multiple_of(4096) as u64));
            let start = PAYLOAD_OFFSET as usize;
            assert!(bytes[start..start + length] == content);
            assert!(bytes[start + length..start + data.length as usize].iter().all(|byte| *byte == 0));
            let verification = verify(&bytes);
            assert_eq!(verification.is_intact(), partitions > 1, "{verification:?}");
            assert_eq!(verification.is_trusted(), partitions > 2, "{verification:?}");
            assert_eq!(verification.is_found_by_root_hash, partitions > 1);
            assert_eq!(verification.tree.map(|tree| tree.root_hash), written.root_hash);
        }
    }
}

#[test]
fn identities_follow_from_the_content() {
    let signer = signer();
    let (bytes, written) = image(&payload(10_000), Protection::Signed(&signer));
    assert!(bytes == image(&payload(10_000), Protection::Signed(&signer)).0);
    let hash = written.root_hash.expect("a tree").to_string();
    let Ddi { table, .. } = read(&bytes);
    let guids: Vec<String> =
        table.partitions.iter().map(|one| one.guid.to_string().replace('-', "")).collect();
    assert_eq!(guids[..2], [&hash[..32], &hash[32..]]);
    let labels: Vec<&str> = table.partitions.iter().map(|one| &*one.label).collect();
    assert_eq!(labels, ["root-x86-64", "root-x86-64-verity", "root-x86-64-verity-sig"]);
    let flags: Vec<u64> = table.partitions.iter().map(|one| one.flags).collect();
    assert_eq!(flags, [READ_ONLY, READ_ONLY, 0]);
    // Something else is something else everywhere, also where only the end differs.
    let mut other = payload(10_000);
    other[9_999] ^= 1;
    for protection in [Protection::Nothing, Protection::Signed(&signer)] {
        let one = read(&image(&payload(10_000), protection).0).table;
        let other = read(&image(&other, protection).0).table;
        assert_ne!(one.disk, other.disk);
        assert!(one.partitions.iter().zip(&other.partitions).all(|(one, other)| one.guid != other.guid));
    }
}

#[test]
fn an_image_in_its_place_becomes_the_same() {
    let signer = signer();
    for length in [1, 4096, 700_000] {
        for protection in [Protection::Nothing, Protection::Verity, Protection::Signed(&signer)] {
            let mut content = vec![0; PAYLOAD_OFFSET as usize];
            content.extend(payload(length));
            let file = file_of(&content);
            let request = request(Payload::InPlace(length as u64), protection);
            let written = write(&request, &file, Path::new("image")).expect("an image");
            let copied = image(&payload(length), protection);
            assert!((bytes_of(&file), written) == copied);
        }
    }
}

#[test]
fn a_longer_file_is_cut_and_no_file_is_refused() {
    let longer = file_of(&payload(4_000_000));
    let from = file_of(b"x");
    let request = request(Payload::File(&from, Path::new("payload")), Protection::Verity);
    write(&request, &longer, Path::new("image")).expect("an image");
    let same = read(&bytes_of(&longer)).table;
    assert_eq!((same.partitions.len(), same.flaws), (2, vec![]));
    let empty = file_of(b"");
    let request = Request { payload: Payload::File(&empty, Path::new("payload")), ..request };
    let error = write(&request, &longer, Path::new("image")).expect_err("nothing to write");
    assert!(matches!(&error, Error::Empty(path) if path == Path::new("payload")), "{error}");
}

#[test]
fn a_full_disk_is_told() {
    let from = file_of(&payload(1_000_000));
    let full = File::options().read(true).write(true).open("/dev/full").expect("it is everywhere");
    for protection in [Protection::Nothing, Protection::Verity] {
        let request = request(Payload::File(&from, Path::new("payload")), protection);
        let error = write(&request, &full, Path::new("image")).expect_err("a full disk");
        assert_eq!(error.to_string(), "cannot write 'image'");
    }
}

/// Changes a byte of a signed image of 300 blocks, whose tree has two levels: blocks 1, and 2 to 4.
fn changed(offset: impl Fn(&Part) -> u64) -> Verification {
    let signer = signer();
    let (mut bytes, _) = image(&payload(300 * 4096 - 5), Protection::Signed(&signer));
    let offset = offset(&read(&bytes).parts[0]) as usize;
    bytes[offset] ^= 1;
    verify(&bytes)
}

fn blocks(count: u64, range: std::ops::Range<u64>) -> BadBlocks {
    BadBlocks { count, ranges: vec![range] }
}

#[test]
fn a_changed_byte_is_found_where_it_is() {
    let tree = |block: u64| {
        let report = changed(|part| part.verity.as_ref().expect("a tree").offset + block * 4096 + 9);
        assert!(!report.is_intact());
        report.tree.expect("a tree")
    };
    for block in [0, 128, 298, 299] {
        let report = changed(|part| part.data.offset + block * 4096 + 4000).tree.expect("a tree");
        let none = BadBlocks::default();
        assert_eq!((report.bad_tree, report.unknown_data), (none.clone(), none), "{block}");
        assert_eq!(report.bad_data, blocks(1, block..block + 1));
    }
    let root = tree(1);
    assert_eq!((root.bad_tree, root.unknown_data), (blocks(1, 1..2), blocks(300, 0..300)));
    let leaf = tree(3);
    assert_eq!((leaf.bad_tree, leaf.unknown_data), (blocks(1, 3..4), blocks(128, 128..256)));
    let leaf = tree(4);
    assert_eq!((leaf.bad_tree, leaf.unknown_data), (blocks(1, 4..5), blocks(44, 256..300)));
    // Another salt makes other hashes of all.
    let salt = changed(|part| part.verity.as_ref().expect("a tree").offset + 88).tree.expect("a tree");
    assert_eq!(salt.unknown_data.count, 300);
}

#[test]
fn a_changed_signature_is_not_trusted() {
    let report = changed(|part| part.signature.as_ref().expect("a signature").offset + 20);
    assert!(!report.is_trusted(), "{report:?}");
    let report = changed(|part| part.signature.as_ref().expect("a signature").offset);
    assert_eq!(report.signature, SignatureReport::Unreadable);
    assert!(report.is_intact() && !report.is_trusted());
    assert_eq!(report.root_hash_from, Some(Origin::Guids));
    let signer = signer();
    let (bytes, written) = image(&payload(9), Protection::Signed(&signer));
    let asked = read(&bytes).parts[0].verify(&&*bytes, &[], Some(RootHash([1; 32])));
    let asked = asked.expect("all can be read");
    let root_hash = written.root_hash.expect("a tree");
    assert_eq!(asked.signature, SignatureReport::Foreign { root_hash });
    assert!(!asked.is_intact());
    let strangers = read(&bytes).parts[0].verify(&&*bytes, &[], None).expect("all can be read");
    assert!(strangers.is_intact() && !strangers.is_trusted());
    let problem = SignatureProblem::UnknownSigner;
    let fingerprint = Some(signer.certificate().fingerprint());
    assert_eq!(strangers.signature, SignatureReport::Bad { problem, fingerprint });
}

#[test]
fn trees_that_do_not_fit_are_refused() {
    let (bytes, _) = image(&payload(300 * 4096), Protection::Verity);
    let part = read(&bytes).parts.remove(0);
    let start = part.verity.as_ref().expect("a tree").offset as usize;
    let superblock = part.superblock(&&*bytes).expect("it can be read").expect("a tree");
    let problem = |superblock: Superblock| {
        let mut bytes = bytes.clone();
        bytes[start..start + 512].copy_from_slice(&superblock.encode());
        match part.verify(&&*bytes, &[], None) {
            Err(Error::Tree(problem)) => problem,
            other => panic!("{other:?}"),
        }
    };
    let with = |data_blocks| Superblock { data_blocks, ..superblock.clone() };
    assert_eq!(problem(with(0)), TreeProblem::NoData);
    assert_eq!(problem(with(301)), TreeProblem::TooMuchData { blocks: 301, available: 300 });
    let too_large = |superblock| assert!(matches!(problem(superblock), TreeProblem::TooLarge { .. }));
    too_large(with(u64::MAX));
    too_large(with(128 * 128 * 128));
    too_large(Superblock { data_block: 512, data_blocks: 2400, ..superblock.clone() });
    let sizes = TreeProblem::BlockSizes { data: 4096, hash: 0 };
    assert_eq!(problem(Superblock { hash_block: 0, ..superblock }), sizes);
}

/// The image with one header changed, as if its maker had wanted it so.
fn with_header(mut bytes: Vec<u8>, sector: usize, change: impl Fn(&mut Header)) -> Vec<u8> {
    let place = sector * 512..(sector + 1) * 512;
    let mut header = Header::parse(&bytes[place.clone()], sector as u64).expect("a header");
    change(&mut header);
    bytes[place].copy_from_slice(&header.encode());
    bytes
}

fn last(bytes: &[u8]) -> usize {
    bytes.len() / 512 - 1
}

#[test]
fn one_whole_table_is_enough() {
    let (right, _) = image(&payload(5000), Protection::Verity);
    let table = read(&right).table;
    let end = last(&right);
    let flaws = |bytes: &[u8]| {
        let read = read(bytes).table;
        assert_eq!(read.partitions, table.partitions);
        read.flaws
    };
    let damaged = |offset: usize| {
        let mut bytes = right.clone();
        bytes[offset] ^= 1;
        flaws(&bytes)
    };
    assert_eq!(damaged(510), [Flaw::NoProtectiveMbr]);
    assert_eq!(damaged(512), [Flaw::Primary(TableProblem::Missing)]);
    assert_eq!(damaged(512 + 60), [Flaw::Primary(TableProblem::HeaderSum)]);
    assert_eq!(damaged(1024 + 60), [Flaw::Primary(TableProblem::EntriesSum)]);
    assert_eq!(damaged(end * 512), [Flaw::Backup(TableProblem::Missing)]);
    assert_eq!(damaged(end * 512 - 512), [Flaw::Backup(TableProblem::EntriesSum)]);
    assert_eq!(flaws(&right[..right.len() - 512]), [Flaw::Backup(TableProblem::Missing)]);
    let backup = with_header(right.clone(), end, |header| header.disk = Guid::NIL);
    assert_eq!(flaws(&backup), [Flaw::Backup(TableProblem::Differs)]);
    let itself = with_header(right.clone(), 1, |header| header.other = 1);
    assert_eq!(flaws(&itself), [Flaw::Backup(TableProblem::Differs)]);
}

type Change<'a> = &'a dyn Fn(&mut Header);

#[test]
fn tables_that_mislead_are_refused() {
    let (right, _) = image(&payload(5000), Protection::Nothing);
    let end = last(&right);
    let count = end as u64 + 1;
    let changes: [(Change<'_>, TableProblem); 9] = [
        (&|header| header.last_usable = count, TableProblem::Beyond { last: count, sectors: count }),
        (&|header| header.last_usable = u64::MAX, TableProblem::Beyond { last: u64::MAX, sectors: count }),
        (&|header| header.entries = u64::MAX, TableProblem::EntriesPlace),
        (&|header| header.entries = count, TableProblem::EntriesPlace),
        (&|header| header.entries = 0, TableProblem::EntriesPlace),
        (&|header| header.entries = 2048, TableProblem::EntriesPlace),
        (&|header| (header.first_usable, header.last_usable) = (0, count - 1), TableProblem::EntriesPlace),
        (&|header| header.entry_count = u32::MAX, TableProblem::Entries { count: u32::MAX, size: 128 }),
        (&|header| header.last_usable = 2050, TableProblem::Outside { partition: 1 }),
    ];
    for (change, problem) in changes {
        let bytes = with_header(with_header(right.clone(), 1, change), end, change);
        match Ddi::read(&&*bytes) {
            Err(Error::Table { primary, backup }) => assert_eq!((&primary, &backup), (&problem, &problem)),
            other => panic!("{problem}: {other:?}"),
        }
    }
    for bytes in [&b""[..], b"x", &vec![0; 100_000], &right[..512], &right[..1024], &right[..512 * 34]] {
        assert!(Ddi::read(&bytes).is_err());
    }
}

/// The image with its entries changed, in both tables.
fn with_entries(mut bytes: Vec<u8>, change: impl Fn(&mut Vec<gpt::Entry>)) -> Vec<u8> {
    for sector in [1, last(&bytes)] {
        let header = Header::parse(&bytes[sector * 512..][..512], sector as u64).expect("a header");
        let place = header.entries as usize * 512..header.entries as usize * 512 + 128 * 128;
        let mut entries = header.parse_entries(&bytes[place.clone()]).expect("entries");
        change(&mut entries);
        bytes[place.clone()].copy_from_slice(&gpt::encode_entries(&entries));
        let sum = gpt::crc32(&bytes[place]);
        bytes = with_header(bytes, sector, |header| header.entries_crc = sum);
    }
    bytes
}

#[test]
fn parts_are_what_a_machine_would_take() {
    let signer = signer();
    let (right, _) = image(&payload(5000), Protection::Signed(&signer));
    let kind = |architecture, designator, role| Kind { architecture, designator, role }.guid();
    let twice = with_entries(right.clone(), |entries| entries[1].kind = entries[0].kind);
    assert!(matches!(Ddi::read(&&*twice), Err(Error::Several(Kind { role: Role::Data, .. }))));
    let hidden = with_entries(right.clone(), |entries| entries[0].flags |= NO_AUTO);
    assert!(matches!(Ddi::read(&&*hidden), Err(Error::NoPayload)));
    let unprotected = read(&with_entries(right.clone(), |entries| entries[1].flags |= NO_AUTO));
    assert_eq!(unprotected.parts[0].verity, None);
    let both = read(&with_entries(right, |entries| {
        entries[1].kind = kind(Architecture::X86_64, Designator::Usr, Role::Data);
        entries[0].kind = kind(Architecture::Arm64, Designator::Root, Role::Data);
        entries[2].kind = kind(Architecture::X86_64, Designator::Root, Role::Data);
    }));
    assert_eq!(both.parts.len(), 3);
    let taken = |architecture| both.part(architecture).map(|part| (part.designator, part.data.number));
    assert_eq!(taken(Architecture::X86_64), Some((Designator::Root, 3)));
    assert_eq!(taken(Architecture::Arm64), Some((Designator::Root, 1)));
    assert_eq!(taken(Architecture::Arm), None);
}
