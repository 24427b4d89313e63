//! The engine with stages that do nothing but count.

mod random;
