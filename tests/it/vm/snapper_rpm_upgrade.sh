#!/bin/bash
# Brings a host with snapshots whose packages are RPMs up to date, with the layers that are there, and says which snapshot is booted next: `snapper_rpm_upgrade.sh ONLAY DIR`; DIR
# has its disk. In an emulator that takes ten times as long.
set -eu

ONLAY=$1
here=$(dirname "$(realpath "$0")")
cd "$2"
# shellcheck source=tests/it/layer/snapper_preamble.sh
. "$here/../layer/snapper_preamble.sh"
layer upgrade >&2
number
