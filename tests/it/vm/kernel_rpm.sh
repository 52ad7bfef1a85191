# How a kernel of scripts/test-trees becomes an RPM: `inside` runs a command in the base, which is seen at $view and can be written to; $kernel is the kernel, $version its version.
# The RPM comes to $dir.
# shellcheck shell=bash disable=SC2154 # of whoever reads this

# make_kernel MODULE…: a later version of the base's kernel, which is real: with these modules, to find a disk. It is signed, by whom the base trusts from now on.
make_kernel() {
    local place=usr/lib/modules/$version module
    inside mkdir -m 700 /tmp/gnupg
    inside gpg --batch --quiet --passphrase '' --quick-generate-key 'Onlay machines <machines@localhost>' rsa3072 sign never
    inside sh -c 'gpg --batch --armor --export >/tmp/key.asc && rpm --import /tmp/key.asc'
    mkdir -p "$view/tmp/kernel/$place/kernel"
    cp "$kernel/vmlinuz" "$view/tmp/kernel/$place/"
    cp "$kernel/$place/"modules.{builtin,builtin.modinfo,order} "$view/tmp/kernel/$place/"
    for module; do
        modprobe --dirname "$kernel" --set-version "$version" --show-depends "$module"
    done | awk '$1 == "insmod" { print $2 }' | sort --unique | xargs cp --target-directory="$view/tmp/kernel/$place/kernel"
    cat >"$view/tmp/kernel.spec" <<END
Name: layer-kernel
Version: 3.0
Release: 1
Summary: A kernel that boots
License: GPL-2.0-only
BuildArch: noarch
Provides: installonlypkg(kernel)
Provides: multiversion(kernel)
%description
%{summary}.
%install
cp -a /tmp/kernel/. %{buildroot}
%files
/$place
END
    inside rpmbuild -bb --quiet --define '_topdir /tmp/build' --define '_rpmdir /tmp' --define '_buildhost localhost' --define '_buildshell /bin/bash' \
        --define '_build_id_links none' --define '__os_install_post %{nil}' --define '__check_files %{nil}' /tmp/kernel.spec
    inside rpmsign --addsign --define '_gpg_name machines@localhost' /tmp/noarch/layer-kernel-3.0-1.noarch.rpm
    inside gpgconf --kill all
    cp "$view"/tmp/noarch/*.rpm "$dir/"
}
