//! One case of the contract, and how its end is read.

use std::future::Future;
use std::pin::Pin;

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Effect, Fault};

use super::stage::Stage;

/// What a case does on a stage; it panics where the contract is broken.
pub type Run = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What moto makes of a case.
#[derive(Clone, Copy)]
pub enum Moto {
    /// The same.
    Same,
    /// Something else, for this reason. What it does instead is asserted, so that a better moto is noticed.
    Differs(&'static str, Run),
    /// It cannot be asked: the case steers the world itself.
    Not(&'static str),
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub run: Run,
    pub moto: Moto,
}

/// `case!(function)`, `case!(function, differs "why" function)` or `case!(function, not "why")`.
macro_rules! case {
    ($run:ident) => {
        case!(@ $run, $crate::contract::case::Moto::Same)
    };
    ($run:ident, differs $why:literal $does:ident) => {
        case!(@ $run, $crate::contract::case::Moto::Differs($why, |stage| Box::pin($does(stage))))
    };
    ($run:ident, not $why:expr) => {
        case!(@ $run, $crate::contract::case::Moto::Not($why))
    };
    (@ $run:ident, $moto:expr) => {
        $crate::contract::case::Case { name: stringify!($run), run: |stage| Box::pin($run(stage)), moto: $moto }
    };
}
pub(super) use case;

/// The value of an effect that is done, which bears AWS's id of the request.
#[track_caller]
pub fn done<T>(effect: Effect<T>) -> T {
    match effect {
        Effect::Done { value, request_id } => {
            assert!(request_id.is_some_and(|id| !id.is_empty()), "without a request id");
            value
        }
        Effect::Refused(fault) => panic!("refused: {fault}"),
        Effect::Unknown(fault) => panic!("unknown: {fault}"),
    }
}

/// Class and code of a refusal, which bears AWS's id of the request.
#[track_caller]
pub fn refused<T>(effect: Effect<T>) -> (Class, String) {
    match effect {
        Effect::Refused(fault) => faulty(fault),
        Effect::Done { .. } => panic!("done"),
        Effect::Unknown(fault) => panic!("unknown: {fault}"),
    }
}

/// Class and code of a fault that AWS answered with.
#[track_caller]
pub fn faulty(fault: Fault) -> (Class, String) {
    assert!(fault.request_id.as_ref().is_some_and(|id| !id.is_empty()), "without a request id: {fault:?}");
    (fault.class, fault.code)
}

/// A class and a code to compare with.
pub fn of(class: Class, code: &str) -> (Class, String) {
    (class, code.to_owned())
}
