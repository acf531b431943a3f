//! The secret: its document, its versions, labels and tags, and the logins that it refers to.

pub mod document;
pub mod invitation;
pub mod kept;
pub mod labels;
pub mod login;
pub mod schedule;
pub mod subject;

pub use document::Document;
pub use invitation::Invitation;
pub use kept::{Kept, KeptConnector};
pub use labels::{Label, Managed, Secret, fingerprint_of};
pub use login::{Access, Login, LoginSecret, Purpose};
pub use subject::Subject;
