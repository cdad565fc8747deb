//! A service manager that writes down what it is told.

use std::cell::{Cell, RefCell};

use stillframe::engine::host::Host;

/// A service manager that writes down what it is told.
#[derive(Default)]
pub struct Told {
    pub ready: Cell<u32>,
    pub alive: Cell<u32>,
    pub lines: RefCell<Vec<String>>,
}

impl Host for Told {
    fn ready(&self) {
        self.ready.set(self.ready.get() + 1);
    }

    fn alive(&self) {
        self.alive.set(self.alive.get() + 1);
    }

    fn status(&self, line: &str) {
        if self.lines.borrow().last().is_none_or(|last| last != line) {
            self.lines.borrow_mut().push(line.to_owned());
        }
    }
}
