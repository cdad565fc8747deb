//! What the documents say: made from the journal, AWS and the plans, as typed structs that serialise to the documented
//! JSON. `report` renders them, `cli` asks for them.

pub mod active_runs;
pub mod copies;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod images;
pub mod preview;
pub mod run;
pub mod status;
