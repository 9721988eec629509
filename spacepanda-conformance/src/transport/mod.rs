//! The contract of [`Transport`], one case per sentence.

mod addresses;
mod closing;
mod flow;
mod frames;
mod help;
mod links;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use libtest_mimic::{Arguments, Trial};
use spacepanda_core::{base::Result, transport::Transport};

use crate::case::runtime;

/// Threads on which a case's tasks run.
const WORKERS: usize = 2;

/// Opens transports that can reach each other; each case opens its own.
#[async_trait]
pub trait TransportFactory: Send + Sync + 'static {
    /// Opens another transport on the same network, with an address at which the others reach it.
    async fn open(&self) -> Result<Arc<dyn Transport>>;

    /// An address of this transport's scheme that cannot be read; unless overridden, `own` without
    /// what follows `scheme://`.
    fn unreadable_address(&self, own: &str) -> String {
        format!("{}://", own.split(':').next().unwrap_or_default())
    }
}

/// Runs every case as a test program does (with its arguments), for a test with `harness = false`.
pub fn run(factory: impl TransportFactory) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials(factory)).exit_code()
}

/// The names of all cases.
pub fn cases() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// Every case as a test of its own.
pub fn trials(factory: impl TransportFactory) -> Vec<Trial> {
    let factory: Factory = Arc::new(factory);
    let trial = |(name, case): &(&'static str, Case)| {
        let (factory, case) = (Arc::clone(&factory), *case);
        Trial::test(*name, move || {
            runtime(WORKERS)?.block_on(case(factory));
            Ok(())
        })
    };
    CASES.iter().map(trial).collect()
}

type Factory = Arc<dyn TransportFactory>;
type Case = fn(Factory) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($module:ident: $($name:ident)*;)*) => {
        const CASES: &[(&str, Case)] = &[
            $($((stringify!($name), |factory| Box::pin($module::$name(factory))),)*)*
        ];
    };
}

cases! {
    links:
        a_link_is_announced_before_its_frames_on_both_sides
        link_numbers_are_never_used_again
        two_links_of_one_pair_are_independent
        both_sides_are_told_of_a_disconnect
        a_disconnected_link_is_not_connected
        a_disconnect_is_the_last_event_of_its_link
        disconnecting_a_link_that_is_gone_is_no_error
        both_may_connect_at_once
        many_links_at_once;
    frames:
        frames_of_every_size_arrive_unchanged_both_ways
        frames_arrive_in_order
        frames_of_several_tasks_arrive_whole_and_once
        a_frame_too_large_is_refused_and_its_link_lives_on
        a_dropped_recv_loses_nothing
        a_dropped_send_is_whole_or_absent;
    flow:
        a_full_link_makes_send_wait_and_loses_nothing
        a_full_link_delays_no_other_link
        a_dropped_send_on_a_full_link_is_whole_or_absent
        a_full_link_can_be_disconnected
        a_full_transport_can_be_closed;
    addresses:
        addresses_are_tried_in_order
        the_first_address_that_answers_is_taken
        a_foreign_address_is_unsupported
        a_foreign_address_is_passed_over
        no_address_is_unsupported
        an_unreadable_address_is_a_mistake_in_the_configuration
        nobody_there_is_unavailable;
    closing:
        a_closed_transport_takes_no_calls
        a_recv_that_waits_is_told_of_the_close
        closing_twice_is_no_error
        closing_tells_the_other_sides
        a_closed_transport_is_not_reached;
}
