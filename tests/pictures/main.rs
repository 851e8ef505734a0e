//! Picture files: read, and saved.

mod reading;
mod saving;
