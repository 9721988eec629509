//! `/join`: waits for a join as long as a person would, while it goes on by itself.

use std::time::Duration;

use spacepanda::{AppError, ChannelId, Event, Events, JoinStep, Missed, Node, ServerId};
use tokio::time::{Instant, timeout_at};

/// After how long a join is answered in any case.
const PATIENCE: Duration = Duration::from_secs(55);
/// After how long a join that makes no step is answered.
const STANDSTILL: Duration = Duration::from_secs(15);

/// A join that has begun.
pub(super) struct Joining {
    events: Events,
    pub(super) server: ServerId,
}

impl Joining {
    /// Begins a join.
    ///
    /// # Errors
    /// As [`Node::join_server`].
    pub(super) async fn begin(node: &Node, link: &str) -> Result<Self, AppError> {
        let events = node.events();
        Ok(Self { events, server: node.join_server(link).await? })
    }

    /// Waits until the join is complete, and returns the server's first channel.
    ///
    /// # Errors
    /// Why it was refused; `join.waiting` (retryable) if it takes longer than people wait.
    pub(super) async fn complete(mut self, node: &Node) -> Result<ChannelId, AppError> {
        let begun = Instant::now();
        let (mut step, mut until) = (JoinStep::Dialling, begun + STANDSTILL);
        let mut refused = None;
        if let Some(channel) = node.joined_channel(self.server).await? {
            return Ok(channel);
        }
        loop {
            let Ok(event) = timeout_at(until, self.events.next()).await else {
                return Err(waiting(step, refused.as_deref()));
            };
            match event {
                Some(Ok(Event::Joined { server, channel })) if server == self.server => {
                    return Ok(channel);
                }
                Some(Ok(Event::JoinFailed { server, code, message })) if server == self.server => {
                    return Err(AppError::new(code, message));
                }
                Some(Ok(Event::JoinProgress { server, step: next }))
                    if server == self.server && next != step =>
                {
                    (step, refused) = (next, None);
                    until = (Instant::now() + STANDSTILL).min(begun + PATIENCE);
                }
                Some(Ok(Event::JoinRefused { server, name, message, .. }))
                    if server == self.server =>
                {
                    refused = Some(format!("{name} was asked: {message}"));
                }
                // That it is complete may be among what was missed.
                Some(Err(Missed(_)) | Ok(Event::Reloaded)) => {
                    match node.joined_channel(self.server).await {
                        Ok(Some(channel)) => return Ok(channel),
                        Err(error) if !error.is_retryable() => return Err(error),
                        // A store that has failed again is told of again.
                        Ok(None) | Err(_) => {}
                    }
                }
                Some(Ok(_)) => {}
                // The node has ended; a call says why.
                None => return node.servers().await.and(Err(waiting(step, refused.as_deref()))),
            }
        }
    }
}

/// A join that goes on by itself, and what was last heard of whoever does not let one in.
fn waiting(step: JoinStep, refused: Option<&str>) -> AppError {
    let (step, waiting_for) = (step.name(), step.waiting_for());
    let heard = refused.unwrap_or("Ask whoever invited you to be online.");
    AppError::retryable(
        "join.waiting",
        format!(
            "You are not in yet: the join is at the step `{step}` and waits for {waiting_for}. It goes on \
             by itself, after a restart too, and you are told when it is complete. {heard}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_that_waits_says_for_what() {
        let error = waiting(JoinStep::Dialling, None);
        assert_eq!((error.code(), error.is_retryable()), ("join.waiting", true));
        assert!(error.to_string().contains("a member to be reachable"), "{error}");
        let error = waiting(JoinStep::Requested, Some("Bob was asked: The server is full."));
        assert!(error.to_string().ends_with("Bob was asked: The server is full."), "{error}");
    }
}
