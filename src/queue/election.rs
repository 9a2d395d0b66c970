//! Who leads, decided by the broker: of all who stand for a seat, one holds
//! it.

use async_trait::async_trait;

use super::QueueError;

/// Where one stands for a seat.
#[async_trait]
pub trait Election: Send + Sync {
    /// Stands for the seat, over one connection. A lost connection gives the
    /// seat up and stands again.
    ///
    /// # Errors
    /// [`QueueError`] where the seat is not there or not allowed.
    async fn stand(&self) -> Result<Box<dyn Candidacy>, QueueError>;
}

/// One candidate. Dropped, it gives up.
#[async_trait]
pub trait Candidacy: Send {
    /// Waits until the seat is held. Dropping the future loses nothing.
    async fn elected(&mut self);

    /// Asks the broker whether the seat is still held: `true` says that at
    /// some moment during this call no one else held it. Anything else says
    /// that the seat is lost; [`elected`](Self::elected) waits for it again.
    /// Bounded in time.
    async fn confirm(&mut self) -> bool;

    /// Gives the seat up: the next candidate holds it as soon as the broker
    /// has heard of it. Bounded in time.
    async fn resign(self: Box<Self>);
}
