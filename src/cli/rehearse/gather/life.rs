//! How long one instance was without a good image, at the most.

use chrono::{DateTime, Utc};

/// The good images of one instance and plan.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// When the newest good image was taken, or the beginning.
    last: DateTime<Utc>,
    /// The longest stretch between two good images so far.
    longest: (DateTime<Utc>, DateTime<Utc>),
    /// How many good images it got.
    pub images: u64,
}

impl Life {
    /// No image yet.
    pub fn new(begin: DateTime<Utc>) -> Self {
        Self { last: begin, longest: (begin, begin), images: 0 }
    }

    /// A good image was taken `at`. Images become good in any order; an older one fills no gap behind.
    pub fn good(&mut self, at: DateTime<Utc>) {
        self.longest = self.with(at);
        self.last = self.last.max(at);
        self.images += 1;
    }

    /// The longest stretch up to `end`.
    pub fn with(&self, end: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let (from, until) = self.longest;
        if end - self.last > until - from { (self.last, end) } else { self.longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stretch_counts_beginning_and_end() {
        let day = |n: i64| DateTime::UNIX_EPOCH + chrono::TimeDelta::days(n);
        let table: [(&[i64], i64, (i64, i64)); 5] = [
            (&[], 10, (0, 10)),
            (&[1, 2, 3], 4, (0, 1)),
            (&[1, 5, 6], 7, (1, 5)),
            (&[1, 2], 9, (2, 9)),
            (&[4, 2], 5, (0, 4)), // the later one was ready first
        ];
        for (images, end, (from, until)) in table {
            let mut life = Life::new(day(0));
            images.iter().for_each(|n| life.good(day(*n)));
            assert_eq!(life.with(day(end)), (day(from), day(until)), "{images:?}");
            assert_eq!(life.images, images.len() as u64);
        }
    }
}
