//! The tools of systemd 257 on our store, with signatures demanded.

use crate::debian::{ONLAY, command, expect_success, tree};
use crate::store::Bed;

/// Debian 13 with systemd's tools, and gpg from another Debian 13 below it. Nothing boots: they only fetch and place files.
#[test]
fn systemd_takes_our_store_with_its_key_and_not_without() {
    let (Some(trixie), Some(other)) = (tree("trixie"), tree("rpm-sqlite")) else { return };
    let bed = Bed::make();
    let key = bed.key("A Store");
    let images = ["1", "2"].map(|version| bed.good(version));
    bed.image("lsof-x_7_any.raw", "lsof-x", "x", "ID=_any\n");
    let secret = format!("keys/{key}.key");
    let added = bed.onlay(&["add", "store", &images[0], &images[1], "lsof-x_7_any.raw", "--key", &secret]);
    assert_eq!(added.0, Some(0), "{}", added.1);
    let said = bed.onlay(&["export", "sysupdate", "store", "settings", "--url", "http://127.0.0.1:8123/"]);
    assert_eq!(said, (Some(0), "onlay: made 2 components in settings\n".to_owned()));
    bed.good("3");
    let mut unshare = command("unshare");
    unshare.args([
        "--mount",
        "--net",
        "--propagation",
        "private",
        "timeout",
        "100",
        "bash",
        "-euxc",
        SCRIPT,
        "bash",
    ]);
    unshare.arg(&trixie).arg(&other).arg(bed.at(".")).arg(ONLAY).env("ONLAY_STORE_KEYS", bed.at("keys"));
    expect_success(&mut unshare);
}

const SCRIPT: &str = r#"
trixie=$1 other=$2 place=$3 onlay=$4
cd "$place"
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir="$trixie:$other",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
root=/mnt/root
mount -t proc proc $root/proc
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
mount --bind /dev $root/dev
"$onlay" --quiet store serve store --listen 127.0.0.1:8123 >/dev/null &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 100); do curl --silent --output /dev/null http://127.0.0.1:8123/ && break; sleep 0.1; done

pull() { chroot $root /usr/lib/systemd/systemd-pull --direct --verify=signature raw http://127.0.0.1:8123/gdb_2_x86-64.raw "/tmp/$1"; }
sysupdate() { chroot $root /usr/lib/systemd/systemd-sysupdate "$@"; }
cp -r settings/. $root/etc
# What systemd 262 reads besides is none of this one's components.
[ -e $root/etc/sysupdate.gdb.component ]
[ "$(sysupdate components | sort | xargs)" = "gdb lsof-x" ]
mkdir -p $root/var/lib/extensions
export SYSTEMD_LOG_LEVEL=info

# Without a key, and with another's.
if pull none; then exit 1; fi
if sysupdate --component=gdb list; then exit 1; fi
"$onlay" store key make Stranger --output stranger.key >/dev/null
"$onlay" store init strangers --key stranger.key
cp strangers/key.gpg $root/etc/systemd/import-pubring.gpg
if pull stranger; then exit 1; fi

cp store/key.gpg $root/etc/systemd/import-pubring.gpg
pull good
cmp store/gdb_2_x86-64.raw $root/tmp/good
sysupdate --component=gdb list
sysupdate --component=gdb update
sysupdate --component=lsof-x update
[ "$(readlink -f $root/var/lib/extensions/lsof-x.raw | sed 's,.*/,,')" = lsof-x_7_any.raw ]
newest() { basename "$(chroot $root readlink -f /var/lib/extensions/gdb.raw)"; }
[ "$(newest)" = gdb_2_x86-64.raw ]
cmp store/gdb_2_x86-64.raw $root/var/lib/extensions.d/gdb/gdb_2_x86-64.raw
"$onlay" store add store gdb_3_x86-64.raw
"$onlay" store key rotate store >/dev/null
sysupdate --component=gdb update
[ "$(newest)" = gdb_3_x86-64.raw ]
[ "$(ls $root/var/lib/extensions.d/gdb | wc -l)" = 2 ]
ls $root/var/lib/extensions
[ "$(ls $root/var/lib/extensions | wc -l)" = 2 ]
sysupdate --component=gdb features | grep gdb
# systemd-sysext sees one image of each, by their names.
chroot $root systemd-sysext list | grep -w gdb
chroot $root systemd-sysext list | grep -w lsof-x

# What was tampered with.
cp store/SHA256SUMS sums
echo "$(printf x | sha256sum | cut -c 1-64)  gdb_4_x86-64.raw" >>store/SHA256SUMS
if sysupdate --component=gdb list; then exit 1; fi
if pull tampered; then exit 1; fi
cp sums store/SHA256SUMS
sysupdate --component=gdb list
truncate --size=-1 store/gdb_2_x86-64.raw
if pull short; then exit 1; fi
"#;
