//! The tags of a header that are read here (rpm's rpmtag.h), as numbers: a header may have any.

/// Locales of the strings that are translated.
pub const HEADER_I18N_TABLE: u32 = 100;
/// The region of a signature.
pub const HEADER_SIGNATURES: u32 = 62;
/// The region that signatures and digests cover.
pub const HEADER_IMMUTABLE: u32 = 63;
/// The region of a package as old as rpm 3.
pub const HEADER_IMAGE: u32 = 61;
/// Bytes of header and payload.
pub const SIG_SIZE: u32 = 257;
/// Signature (RSA) of header and payload.
pub const SIG_PGP: u32 = 259;
/// MD5 of header and payload.
pub const SIG_MD5: u32 = 261;
/// Signature (DSA) of header and payload.
pub const SIG_GPG: u32 = 262;
/// Signature (DSA) of the immutable region.
pub const DSA_HEADER: u32 = 267;
/// Signature (RSA) of the immutable region.
pub const RSA_HEADER: u32 = 268;
/// SHA-1 of the immutable region, in hexadecimal digits.
pub const SHA1_HEADER: u32 = 269;
/// Bytes of header and payload, where 32 bits are not enough.
pub const LONG_SIG_SIZE: u32 = 270;
/// Bytes of the payload without its compression, where 32 bits are not enough.
pub const LONG_ARCHIVE_SIZE: u32 = 271;
/// SHA-256 of the immutable region, in hexadecimal digits.
pub const SHA256_HEADER: u32 = 273;
/// Signatures of its files (IMA).
pub const FILE_SIGNATURES: u32 = 274;
/// How long each of those is.
pub const FILE_SIGNATURE_LENGTH: u32 = 275;
/// Signatures of its files (fs-verity).
pub const VERITY_SIGNATURES: u32 = 276;
/// Their algorithm.
pub const VERITY_SIGNATURE_ALGORITHM: u32 = 277;
/// Signatures of the immutable region, in base64 (format 6).
pub const OPENPGP: u32 = 278;
/// SHA3-256 of the immutable region, in hexadecimal digits (format 6).
pub const SHA3_256_HEADER: u32 = 279;
/// Name.
pub const NAME: u32 = 1000;
/// Version.
pub const VERSION: u32 = 1001;
/// Release.
pub const RELEASE: u32 = 1002;
/// Epoch, a number.
pub const EPOCH: u32 = 1003;
/// Bytes of header and payload: so in the signature of a package file, where numbers from here on mean other things than in
/// a header.
pub const SIGNATURE_SIZE: u32 = 1000;
/// Signature (RSA) of header and payload: so in the signature of a package file.
pub const SIGNATURE_PGP: u32 = 1002;
/// Signature (DSA) of header and payload: so in the signature of a package file.
pub const SIGNATURE_GPG: u32 = 1005;
/// Bytes of the payload without its compression: so in the signature of a package file.
pub const SIGNATURE_PAYLOAD_SIZE: u32 = 1007;
/// MD5 of header and payload: so in the signature of a package file, where numbers mean other things than in a header.
pub const SIGNATURE_MD5: u32 = 1004;
/// One line of description.
pub const SUMMARY: u32 = 1004;
/// When it was installed, in seconds.
pub const INSTALL_TIME: u32 = 1008;
/// Size of its files.
pub const SIZE: u32 = 1009;
/// Who makes it.
pub const VENDOR: u32 = 1011;
/// Its licence.
pub const LICENSE: u32 = 1014;
/// Its group.
pub const GROUP: u32 = 1016;
/// Architecture.
pub const ARCH: u32 = 1022;
/// Script before installation.
pub const PRE_IN: u32 = 1023;
/// Script after installation.
pub const POST_IN: u32 = 1024;
/// Script before removal.
pub const PRE_UN: u32 = 1025;
/// Script after removal.
pub const POST_UN: u32 = 1026;
/// Sizes of its files, in 32 bits.
pub const FILE_SIZES: u32 = 1028;
/// What became of its files.
pub const FILE_STATES: u32 = 1029;
/// Bytes of the payload without its compression.
pub const ARCHIVE_SIZE: u32 = 1046;
/// Types and permissions of its files.
pub const FILE_MODES: u32 = 1030;
/// Device numbers of its device files.
pub const FILE_RDEVS: u32 = 1033;
/// Times of its files.
pub const FILE_MTIMES: u32 = 1034;
/// Digests of its files, in hexadecimal digits.
pub const FILE_DIGESTS: u32 = 1035;
/// What its symbolic links say.
pub const FILE_LINK_TOS: u32 = 1036;
/// What its files are for.
pub const FILE_FLAGS: u32 = 1037;
/// Owners of its files.
pub const FILE_USER_NAME: u32 = 1039;
/// Groups of its files.
pub const FILE_GROUP_NAME: u32 = 1040;
/// The source package; only source packages lack it.
pub const SOURCE_RPM: u32 = 1044;
/// Names of what it provides.
pub const PROVIDE_NAME: u32 = 1047;
/// Flags of what it requires.
pub const REQUIRE_FLAGS: u32 = 1048;
/// Names of what it requires.
pub const REQUIRE_NAME: u32 = 1049;
/// Versions of what it requires.
pub const REQUIRE_VERSION: u32 = 1050;
/// Flags of what it conflicts with.
pub const CONFLICT_FLAGS: u32 = 1053;
/// Names of what it conflicts with.
pub const CONFLICT_NAME: u32 = 1054;
/// Versions of what it conflicts with.
pub const CONFLICT_VERSION: u32 = 1055;
/// Packages on whose installation its triggers run.
pub const TRIGGER_NAME: u32 = 1066;
/// Script that verifies it.
pub const VERIFY_SCRIPT: u32 = 1079;
/// Names of what it replaces.
pub const OBSOLETE_NAME: u32 = 1090;
/// Devices of its files, as built: inode numbers are of one of them.
pub const FILE_DEVICES: u32 = 1095;
/// Inode numbers of its files, as built: the same for hard links.
pub const FILE_INODES: u32 = 1096;
/// Only source packages have it.
pub const SOURCE_PACKAGE: u32 = 1106;
/// Flags of what it provides.
pub const PROVIDE_FLAGS: u32 = 1112;
/// Versions of what it provides.
pub const PROVIDE_VERSION: u32 = 1113;
/// Flags of what it replaces.
pub const OBSOLETE_FLAGS: u32 = 1114;
/// Versions of what it replaces.
pub const OBSOLETE_VERSION: u32 = 1115;
/// For each file, the number of its directory.
pub const DIR_INDEXES: u32 = 1116;
/// Names of its files, without directories.
pub const BASENAMES: u32 = 1117;
/// Its files' directories, each with a `/` at the end.
pub const DIRNAMES: u32 = 1118;
/// What the payload is: `cpio`.
pub const PAYLOAD_FORMAT: u32 = 1124;
/// How the payload is compressed.
pub const PAYLOAD_COMPRESSOR: u32 = 1125;
/// Colours of the system that it was installed on.
pub const INSTALL_COLOR: u32 = 1127;
/// The transaction that installed it.
pub const INSTALL_TID: u32 = 1128;
/// Colours of its files: 1 is 32-bit ELF, 2 is 64-bit.
pub const FILE_COLORS: u32 = 1140;
/// Script before the transaction that installs it.
pub const PRE_TRANS: u32 = 1151;
/// Script after the transaction that installs it.
pub const POST_TRANS: u32 = 1152;
/// Sizes of its files, in 64 bits, where one needs them.
pub const LONG_FILE_SIZES: u32 = 5008;
/// Size of its files, where 32 bits are not enough.
pub const LONG_SIZE: u32 = 5009;
/// Capabilities of its files, as text.
pub const FILE_CAPS: u32 = 5010;
/// The algorithm of its files' digests.
pub const FILE_DIGEST_ALGORITHM: u32 = 5011;
/// Names of what it recommends.
pub const RECOMMEND_NAME: u32 = 5046;
/// Versions of what it recommends.
pub const RECOMMEND_VERSION: u32 = 5047;
/// Flags of what it recommends.
pub const RECOMMEND_FLAGS: u32 = 5048;
/// Names of what it suggests.
pub const SUGGEST_NAME: u32 = 5049;
/// Versions of what it suggests.
pub const SUGGEST_VERSION: u32 = 5050;
/// Flags of what it suggests.
pub const SUGGEST_FLAGS: u32 = 5051;
/// Names of what it supplements.
pub const SUPPLEMENT_NAME: u32 = 5052;
/// Versions of what it supplements.
pub const SUPPLEMENT_VERSION: u32 = 5053;
/// Flags of what it supplements.
pub const SUPPLEMENT_FLAGS: u32 = 5054;
/// Names of what it enhances.
pub const ENHANCE_NAME: u32 = 5055;
/// Versions of what it enhances.
pub const ENHANCE_VERSION: u32 = 5056;
/// Flags of what it enhances.
pub const ENHANCE_FLAGS: u32 = 5057;
/// Paths whose files run its file triggers.
pub const FILE_TRIGGER_NAME: u32 = 5069;
/// Which file trigger each of those paths belongs to.
pub const FILE_TRIGGER_INDEX: u32 = 5070;
/// Paths whose files run its triggers at the end of a transaction.
pub const TRANS_FILE_TRIGGER_NAME: u32 = 5079;
/// Which trigger each of those paths belongs to.
pub const TRANS_FILE_TRIGGER_INDEX: u32 = 5080;
/// SHA-256 of the payload as it is, in hexadecimal digits.
pub const PAYLOAD_SHA256: u32 = 5092;
/// SHA-256 of the payload without its compression, in hexadecimal digits.
pub const PAYLOAD_SHA256_ALT: u32 = 5097;
/// Script before the transaction that removes it.
pub const PRE_UN_TRANS: u32 = 5104;
/// Script after the transaction that removes it.
pub const POST_UN_TRANS: u32 = 5105;
