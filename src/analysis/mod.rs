//! Facts about sessions and exchanges, kept once.

use std::marker::PhantomData;

/// A reason not to be sure, if there is one.
pub type Doubt = Option<crate::rules::Reason>;

/// Placeholder.
#[derive(Debug)]
pub struct FrameFacts<'a>(PhantomData<&'a ()>);
/// Placeholder.
#[derive(Debug)]
pub struct Overdue<'a>(PhantomData<&'a ()>);
/// Placeholder.
#[derive(Debug)]
pub struct StillOpen<'a>(PhantomData<&'a ()>);
/// Placeholder.
#[derive(Debug)]
pub struct Silence<'a>(PhantomData<&'a ()>);
/// Placeholder.
#[derive(Debug)]
pub struct Stream<'a>(PhantomData<&'a ()>);
