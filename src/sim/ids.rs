//! Ids and durations that look random and are functions of the world's seed and a counter.

/// The step of splitmix64: odd, so that the counter's values never meet.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// splitmix64's finish: a bijection, so that distinct numbers stay distinct.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The `n`-th number of `seed`.
pub(super) fn nth(seed: u64, n: u64) -> u64 {
    mix(seed.wrapping_add(n.wrapping_mul(GAMMA)))
}

/// The 17 hexadecimal digits of a resource id; real ones begin with 0 too.
pub(super) fn digits(seed: u64, n: u64) -> String {
    format!("0{:016x}", nth(seed, n))
}

/// A request id in the shape of a UUID.
pub(super) fn request_id(seed: u64, n: u64) -> String {
    let (a, b) = (nth(seed ^ 0x5265_7175, n), nth(seed ^ 0x4964_4964, n));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

/// A number that belongs to `text` (FNV-1a, mixed).
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    let hash = text.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    mix(hash)
}

/// A fraction in [0, 1) that belongs to `text`: the same in each run.
pub(super) fn fraction(seed: u64, text: &str) -> f64 {
    // 53 bits fit a double exactly.
    #[allow(clippy::cast_precision_loss)]
    let value = (hash(seed, text) >> 11) as f64 / (1_u64 << 53) as f64;
    value
}
