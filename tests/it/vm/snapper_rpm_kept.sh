#!/bin/bash
# Says what a power cut in the middle of a change has left of a host with snapshots whose packages are RPMs: `snapper_rpm_kept.sh ONLAY DIR`; DIR has its disk. What is booted
# next is whole; another change clears what was begun; and where the layer's kernel was, it is what boots.
set -eu

ONLAY=$1
here=$(dirname "$(realpath "$0")")
cd "$2"
# shellcheck source=tests/it/layer/snapper_preamble.sh
. "$here/../layer/snapper_preamble.sh"

marks() { snapper --csvout list --columns userdata | grep --count in-progress=yes || true; }

# What boots next is a kernel (Documentation/arch/x86/boot.rst).
is_kernel() { [ "$(tail --bytes=+515 "$(next)/boot/vmlinuz" | head --bytes=4)" = HdrS ]; }

said="$(number) $(layer list | awk '/asked for$/ { printf "%s ", $1 }')$(marks)"
test "$(btrfs property get -ts "$(next)" ro)" = ro=true
rpm_verified >&2
! is_kernel
layer rollback 2 >&2
is_kernel
test "$(marks)" = 0
trap - EXIT
off
cd "$top"
btrfs check --readonly disk.btrfs >check 2>&1 || { cat check >&2 && exit 1; }
echo "$said"
