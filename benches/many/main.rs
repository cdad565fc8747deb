//! `cargo bench --bench many`: what a thousand and ten thousand targets cost, in simulated time on the documented
//! token buckets. `-- --copies` copies many images to three regions; `-- --year` simulates a year of two daily plans;
//! `-- --door N` runs the programs themselves, in real time over the HTTP door. Prints; judges nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it measures real time, and prints
#![allow(clippy::zombie_processes)] // whoever starts one ends it

mod copies;
mod door;
mod process;
mod simulated;
mod year;

/// Targets of the door's run where none are named.
const DOOR: u32 = 10_000;
/// Images that are copied where none are named.
const COPIES: u32 = 200;

fn main() {
    // `cargo bench` adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{text} is not a number"));
    match words.as_slice() {
        [] => simulated::table(&[1_000, 10_000]),
        ["--sizes", sizes @ ..] => simulated::table(&sizes.iter().map(|size| number(size)).collect::<Vec<_>>()),
        ["--copies"] => copies::table(COPIES),
        ["--copies", images] => copies::table(number(images)),
        ["--part", part, targets] => simulated::part(part, number(targets)),
        ["--year"] => year::run(50, 365),
        ["--year", instances, days] => year::run(number(instances), number(days)),
        ["--door"] => door::run(DOOR, 1),
        ["--door", targets] => door::run(number(targets), 1),
        ["--door", targets, times] => door::run(number(targets), number(times)),
        other => panic!(
            "many [--sizes N...] | --copies [IMAGES] | --year [INSTANCES DAYS] | --door [TARGETS [TIMES]], not {other:?}"
        ),
    }
}
