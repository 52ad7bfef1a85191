//! Architectures, in the words of packages and in systemd's.

use super::Format;

/// systemd's word for the architecture that a package is for (systemd.unit(5), `ConditionArchitecture=`); `None` where
/// it has none. Packages for every architecture have their own word, see [`is_any`].
pub(super) fn systemd_architecture(format: Format, architecture: &str) -> Option<&'static str> {
    let table = match format {
        Format::Deb => DEBIAN,
        Format::Rpm => RPM,
    };
    table.iter().find(|(_, words)| words.contains(&architecture)).map(|(systemd, _)| *systemd)
}

/// Whether packages of this architecture are for every one.
pub(super) fn is_any(format: Format, architecture: &str) -> bool {
    architecture == if format == Format::Deb { "all" } else { "noarch" }
}

/// From dpkg's cputable and tupletable.
const DEBIAN: &[(&str, &[&str])] = &[
    ("alpha", &["alpha"]),
    ("arc", &["arc"]),
    ("arm", &["arm", "armel", "armhf"]),
    ("arm64", &["arm64"]),
    ("ia64", &["ia64"]),
    ("loongarch64", &["loong64"]),
    ("m68k", &["m68k"]),
    ("mips", &["mips", "mipsn32"]),
    ("mips-le", &["mipsel", "mipsn32el"]),
    ("mips64", &["mips64"]),
    ("mips64-le", &["mips64el"]),
    ("parisc", &["hppa"]),
    ("ppc", &["powerpc"]),
    ("ppc64", &["ppc64"]),
    ("ppc64-le", &["ppc64el"]),
    ("riscv32", &["riscv32"]),
    ("riscv64", &["riscv64"]),
    ("s390", &["s390"]),
    ("s390x", &["s390x"]),
    ("sh", &["sh3", "sh4"]),
    ("sparc", &["sparc"]),
    ("sparc64", &["sparc64"]),
    ("x86", &["i386"]),
    ("x86-64", &["amd64", "x32"]),
];

/// From rpm's rpmrc.
const RPM: &[(&str, &[&str])] = &[
    ("alpha", &["alpha", "alphaev5", "alphaev56", "alphaev6", "alphaev67", "alphapca56"]),
    (
        "arm",
        &[
            "armv3l",
            "armv4b",
            "armv4l",
            "armv4tl",
            "armv5hl",
            "armv5tel",
            "armv5tejl",
            "armv5tl",
            "armv6hl",
            "armv6l",
            "armv7hl",
            "armv7hnl",
            "armv7l",
            "armv8hcnl",
            "armv8hl",
            "armv8hnl",
            "armv8l",
        ],
    ),
    ("arm64", &["aarch64"]),
    ("ia64", &["ia64"]),
    ("loongarch64", &["loongarch64"]),
    ("m68k", &["m68k"]),
    ("mips", &["mips", "mipsr6"]),
    ("mips-le", &["mipsel", "mipsr6el"]),
    ("mips64", &["mips64", "mips64r6"]),
    ("mips64-le", &["mips64el", "mips64r6el"]),
    ("parisc", &["hppa1.0", "hppa1.1", "hppa1.2", "hppa2.0", "parisc"]),
    ("ppc", &["ppc", "ppc8260", "ppc8560", "ppc32dy4", "ppciseries", "ppcpseries"]),
    ("ppc64", &["ppc64", "ppc64p7", "ppc64iseries", "ppc64pseries"]),
    ("ppc64-le", &["ppc64le"]),
    ("riscv32", &["riscv32"]),
    ("riscv64", &["riscv64"]),
    ("s390", &["s390"]),
    ("s390x", &["s390x"]),
    ("sh", &["sh3", "sh4", "sh4a"]),
    ("sparc", &["sparc", "sparcv8", "sparcv9", "sparcv9v"]),
    ("sparc64", &["sparc64", "sparc64v"]),
    ("x86", &["athlon", "geode", "i386", "i486", "i586", "i686", "pentium3", "pentium4"]),
    ("x86-64", &["amd64", "ia32e", "x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_both_are_systemds() {
        for (format, word, systemd) in [
            (Format::Deb, "amd64", Some("x86-64")),
            (Format::Deb, "armhf", Some("arm")),
            (Format::Deb, "ppc64el", Some("ppc64-le")),
            (Format::Deb, "all", None),
            (Format::Deb, "hurd-i386", None),
            (Format::Rpm, "x86_64_v3", Some("x86-64")),
            (Format::Rpm, "armv7hl", Some("arm")),
            (Format::Rpm, "aarch64", Some("arm64")),
            (Format::Rpm, "noarch", None),
        ] {
            assert_eq!(systemd_architecture(format, word), systemd, "{word}");
        }
        assert!(is_any(Format::Deb, "all") && !is_any(Format::Deb, "noarch"));
        assert!(is_any(Format::Rpm, "noarch") && !is_any(Format::Rpm, "all"));
    }
}
