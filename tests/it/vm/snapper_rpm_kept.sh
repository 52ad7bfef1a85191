#!/bin/bash
# Says which snapshot a host whose packages are RPMs boots next after its power was cut, and which layers of ours it has: `snapper_rpm_kept.sh ONLAY DIR`; DIR has its disk.
set -eu

ONLAY=$1
here=$(dirname "$(realpath "$0")")
cd "$2"
# shellcheck source=tests/it/layer/snapper_preamble.sh
. "$here/../layer/snapper_preamble.sh"
test "$(btrfs property get -ts "$(next)" ro)" = ro=true
in_next rpmdb --verifydb
# The kernel that was in the machine, and what its maker signs files of that kind with (Documentation/arch/x86/boot.rst).
test "$(tail --bytes=+515 "$(next)/boot/vmlinuz" | head --bytes=4)" = HdrS
said="$(number) $(layer list | tr '\n' ' ')"
trap - EXIT
off
cd "$top"
btrfs check --readonly disk.btrfs >check 2>&1 || { cat check >&2 && exit 1; }
echo "$said"
