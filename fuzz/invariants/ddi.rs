//! What must hold for any bytes that come as a disk image, or as a part of its signature. Each function panics where it
//! does not.

use onlay::image::Source;
use onlay::image::ddi::{Certificate, Ddi, RootHash, Signature, Signer};

/// Every part of an image lies inside of it, and on no other. What is verified is whole.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn image(data: &[u8]) {
    for data in [data.to_vec(), summed(data)] {
        let source = &data.as_slice();
        let Ok(ddi) = Ddi::read(source) else { continue };
        let mut end = 0;
        let mut partitions = ddi.table.partitions.clone();
        partitions.sort_by_key(|partition| partition.offset);
        for partition in &partitions {
            assert!(partition.length > 0 && partition.offset >= end, "{partitions:?}");
            end = partition.offset + partition.length;
        }
        assert!(end <= source.size(), "{partitions:?}");
        for part in &ddi.parts {
            assert_eq!(part.data.kind().map(|kind| kind.designator), Some(part.designator));
            let Ok(found) = part.verify(source, &[], None) else { continue };
            assert!(!found.is_trusted(), "nobody is trusted");
            if let Some(tree) = &found.tree {
                let blocks = tree.data_blocks * u64::from(tree.data_block);
                assert!(blocks <= part.data.length, "{tree:?}");
                assert!(tree.bad_data.count + tree.unknown_data.count <= tree.data_blocks, "{tree:?}");
                let other = part.verify(source, &[], Some(RootHash([1; 32]))).expect("it could be read");
                assert!(!other.is_intact(), "of any root hash");
            }
        }
    }
}

/// The image with sums that are right, so that what they protect is looked at.
fn summed(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let end = data.len() & !511;
    for start in [512, end.saturating_sub(512)] {
        let Some(header) = data.get(start..start + 512).filter(|sector| sector.starts_with(b"EFI PART"))
        else {
            continue;
        };
        let number = |at: usize| {
            header[at..at + 8].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let first = number(72).saturating_mul(512);
        let length = (number(80) & 0xffff_ffff) * (number(84) & 0xffff_ffff);
        let entries = usize::try_from(first)
            .ok()
            .zip(usize::try_from(length).ok())
            .and_then(|(first, length)| data.get(first..first.checked_add(length)?));
        if let Some(sum) = entries.map(crc32) {
            data[start + 88..start + 92].copy_from_slice(&sum.to_le_bytes());
        }
        data[start + 16..start + 20].fill(0);
        let size = (data[start + 12] as usize).min(512);
        let sum = crc32(&data[start..start + size]);
        data[start + 16..start + 20].copy_from_slice(&sum.to_le_bytes());
    }
    data
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// Signatures, certificates and keys are read without harm, and no signature but the right one is good.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn signature(data: &[u8]) {
    const CERTIFICATE: &[u8] = include_bytes!("../../tests/data/ddi/rsa.crt");
    let trusted = Certificate::from_pem(CERTIFICATE).expect("a certificate");
    let hash = "f".repeat(64);
    let text = format!("{{\"rootHash\":\"{hash}\",\"signature\":\"{}\"}}", base64(data));
    let signature = Signature::parse(text.as_bytes()).expect("it was written as one");
    assert_eq!(signature.message(), data);
    assert!(signature.verify(&[trusted]).is_err(), "nobody has signed it");
    let _ = Signature::parse(data);
    for label in ["CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(data));
        if let Ok(certificate) = Certificate::from_pem(pem.as_bytes()) {
            let _ = (certificate.subject().len(), certificate.fingerprint());
            assert!(signature.verify(&[certificate]).is_err(), "nobody has signed it");
        }
        let _ = Signer::from_pem(pem.as_bytes(), CERTIFICATE);
    }
    let _ = (Certificate::from_pem(data), Signer::from_pem(data, CERTIFICATE));
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: &[u8], place: usize| {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | group.get(index).copied().map_or(0, usize::from));
        if place > group.len() { '=' } else { LETTERS[bits >> (18 - 6 * place) & 63] as char }
    };
    bytes.chunks(3).flat_map(|group| (0..4).map(move |place| letter(group, place))).collect()
}
