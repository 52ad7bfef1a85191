//! Images and signatures, changed at random places: what must hold for any bytes holds for these, which look right.

use onlay::image::ddi::Protection;

use super::{Place, data, read, signer};

#[path = "../../../fuzz/invariants/ddi.rs"]
mod invariants;

/// One to four bytes that are something else, among those that say where things are.
fn mutate(chance: &mut fastrand::Rng, seed: &[u8], places: &[std::ops::Range<usize>]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..chance.usize(1..=4) {
        let place = places[chance.usize(0..places.len())].clone();
        let at = chance.usize(place);
        match chance.u8(0..4) {
            0 => data[at] ^= 1 << chance.u8(0..8),
            1 => data[at] = [0, 1, 0x7f, 0x80, 0xff][chance.usize(0..5)],
            2 => data[at] = data[at].wrapping_add(1),
            _ => data[at] = chance.u8(..),
        }
    }
    data
}

#[test]
fn no_image_misleads() {
    let place = Place::new();
    let payload = place.path("payload");
    std::fs::write(&payload, "x").expect("a file");
    let (image, _) = place.make("image", &payload, Protection::Signed(&signer("rsa")));
    let image = read(image);
    let end = image.len();
    // Headers and first entries of both tables, the superblock, and the signature.
    let places = [
        512..604,
        1024..1024 + 3 * 128,
        end - 33 * 512..end - 33 * 512 + 3 * 128,
        end - 512..end - 420,
        0x10_1000..0x10_1200,
        0x10_2000..0x10_2100,
    ];
    let mut chance = fastrand::Rng::with_seed(1);
    invariants::image(&image);
    for _ in 0..60 {
        invariants::image(&mutate(&mut chance, &image, &places));
    }
}

#[test]
fn no_signature_or_certificate_misleads() {
    let mut chance = fastrand::Rng::with_seed(2);
    for name in ["rsa.p7s", "rsa-attributes.p7s", "p256.p7s", "rsa.crt", "rsa.key", "p384.key"] {
        let right = read(data(name));
        invariants::signature(&right);
        let all = 0..right.len();
        for _ in 0..60 {
            invariants::signature(&mutate(&mut chance, &right, std::slice::from_ref(&all)));
        }
    }
}
