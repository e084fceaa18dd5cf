//! The contract of `Store`, case by case, on every store.
//!
//! A case gets a world: a place for streams that nobody else uses, in which it opens as many stores as it needs. Time is
//! real, since Redis' cannot be paused: a case waits for conditions with a deadline, or for a lease or a TTL to pass.

#![allow(
    clippy::unwrap_used,
    reason = "a case is a test, though the attribute is on its caller"
)]

mod acking;
mod appending;
mod cleaning;
#[path = "../support/config.rs"]
mod config;
mod continuing;
mod ending;
mod finished;
mod forking;
mod glancing;
mod heard;
mod keeping;
mod logs;
mod noise;
mod numbering;
mod pieces;
mod random;
mod reading;
mod reminding;
mod restoring;
#[path = "../support/rights.rs"]
mod rights;
mod sealing;
#[path = "redis.rs"]
mod server;
mod sharing;
mod starting;
mod stopping;
mod suspecting;
mod telling;
mod world;

use std::sync::Arc;

use tidemark::store::{Listener, SharedStore, memory::MemoryStore};
use ulid::Ulid;

/// All cases against one store: a module of tests.
macro_rules! suite {
    ($home:ident, $open:expr) => {
        cases! { $home, $open;
            starting::a_first_start_begins_at_zero
            starting::a_start_is_idempotent_by_its_producer
            starting::a_joiner_gets_its_own_answer_again
            starting::a_live_stream_is_not_started_again
            starting::an_ended_stream_is_not_started_again_when_it_should_not
            starting::a_takeover_fences_the_old_producer
            starting::a_shared_generation_is_joined
            starting::seqs_go_on_over_generations
            starting::only_the_owner_starts_again
            continuing::g4_a_producer_goes_on_and_the_one_before_is_fenced
            continuing::g4_a_batch_that_was_fast_before_is_fenced_after
            continuing::g4_whoever_was_replaced_is_fenced_whatever_ids_producers_have
            continuing::a_lapsed_lease_that_nobody_has_looked_at_is_no_end
            continuing::an_end_is_final
            continuing::only_the_owner_goes_on_and_only_with_one_s_own
            continuing::a_stop_goes_on_too
            continuing::g4_whoever_went_on_last_is_put_back_over_the_one_before
            continuing::g4_the_one_before_is_not_put_back
            appending::an_append_takes_the_next_seqs
            appending::a_batch_is_written_once
            appending::a_late_copy_of_an_older_batch_writes_nothing
            appending::chunks_come_back_as_they_went_in
            appending::a_hole_is_written_again
            appending::a_stranger_is_fenced
            appending::g4_whoever_knows_less_than_there_is_is_fenced
            appending::nothing_is_written_to_a_missing_stream
            appending::a_lost_record_is_put_back
            appending::a_record_that_is_there_is_not_put_back
            appending::shared_producers_interleave
            appending::g1_what_is_shared_does_not_go_on_where_chunks_were_lost
            restoring::g4_a_later_generation_is_put_back_over_an_older_one
            restoring::g4_an_older_generation_is_not_put_back_over_a_later_one
            restoring::g4_a_later_generation_is_put_back_over_the_end_of_an_older_one
            restoring::g4_a_takeover_that_was_lost_is_put_back
            restoring::g4_of_two_that_began_without_a_record_the_later_one_counts
            restoring::g4_whoever_has_begun_anew_is_not_replaced
            restoring::g4_a_deletion_of_what_came_back_first_is_meant_for_all
            restoring::generations_are_in_the_order_of_their_starts_whatever_the_clocks
            ending::every_outcome_is_kept_with_its_reason
            ending::a_final_batch_is_written_once
            ending::nothing_follows_the_end
            ending::the_last_producer_completes_a_shared_generation
            ending::a_dead_producer_does_not_hold_up_a_shared_completion
            ending::a_failure_ends_a_shared_generation_at_once
            ending::a_lapse_is_found_by_read
            ending::a_lapse_is_found_by_status
            ending::a_lapse_is_found_by_start
            ending::a_lapse_is_found_by_stop
            ending::a_lapse_after_a_stop_is_stopped
            ending::a_late_sign_of_life_counts
            suspecting::a_suspect_is_told_and_goes_on
            suspecting::a_lease_that_is_about_to_lapse_is_suspected_before
            suspecting::nobody_is_dead_for_lack_of_looks
            suspecting::a_chunk_is_a_sign_of_life
            suspecting::g5_chunks_prolong_a_lease_before_most_of_it_is_over
            stopping::a_live_generation_is_stopped
            stopping::a_stop_without_a_reason_is_a_stop
            stopping::completion_after_a_stop_is_stopped
            stopping::a_finished_generation_is_not_stopped
            stopping::a_stop_before_the_start_is_kept_once
            stopping::a_kept_stop_lapses
            stopping::a_kept_stop_goes_with_a_deletion
            stopping::a_stop_after_a_deletion_is_kept
            stopping::a_kept_stop_meets_a_restore
            stopping::a_kept_stop_is_bound_to_the_owner
            stopping::a_kept_stop_is_nobody_else_s_to_replace
            stopping::an_owner_s_kept_stop_lapses_by_itself
            stopping::kept_stops_are_bounded
            stopping::only_the_owner_stops
            reading::a_missing_stream_has_no_page
            reading::positions_of_the_current_generation
            reading::positions_of_other_generations
            reading::older_generations_are_dropped
            reading::a_cursor_inside_a_frame_gets_the_frame
            reading::a_cursor_ahead_of_the_log_gets_nothing
            reading::pages_are_bounded_in_bytes
            reading::the_head_tells_the_lease
            reading::only_the_owner_reads
            acking::an_ack_needs_a_stream
            acking::cursors_move_forward_only
            acking::a_cursor_stays_within_its_generation
            acking::an_older_generation_moves_nothing_back
            acking::only_the_owner_acknowledges
            acking::consumers_are_bounded
            acking::status_tells_how_far_consumers_are
            acking::cursors_go_with_their_stream
            logs::anybody_appends_and_anybody_closes
            logs::a_write_is_written_once
            numbering::writes_together_are_repeated_as_a_whole
            numbering::producers_number_what_they_write
            numbering::an_order_is_compared_byte_by_byte
            logs::a_log_that_is_there_is_compared
            logs::chunks_are_counted_from_either_end
            logs::a_large_chunk_comes_whole_or_not_at_all
            logs::a_ttl_slides_and_an_end_does_not
            logs::a_log_is_nobodys_to_take
            logs::only_the_owner_uses_it
            logs::a_log_is_deleted_with_its_writers
            logs::a_stop_is_told_to_those_who_write
            numbering::the_writers_that_are_remembered_are_bounded
            numbering::a_log_that_is_made_again_is_later_whatever_the_clocks
            logs::a_log_is_sealed_as_every_stream
            forking::a_beginning_is_staged_step_by_step_and_once
            forking::a_log_lists_its_forks_and_its_name_is_kept_for_them
            keeping::a_log_that_is_closed_ends_at_the_time_that_was_set
            keeping::whoever_reads_or_compares_a_log_uses_it_but_the_engine
            sealing::a_seal_replaces_open_frames
            sealing::a_seal_may_hold_its_own_batch
            sealing::a_seal_that_does_not_fit_changes_nothing
            sealing::a_refused_batch_seals_nothing
            sealing::what_the_previous_generation_left_open_stays
            sealing::a_sealed_page_is_bounded_by_what_it_inflates_to
            sealing::a_damaged_frame_fails_who_reads_it
            sealing::status_tells_what_is_kept
            sealing::a_restored_stream_is_sealed_from_where_it_begins
            sealing::whoever_shares_may_seal
            sealing::a_deleted_stream_leaves_nothing_sealed
            pieces::a_large_chunk_is_written_in_pieces
            pieces::pieces_are_written_once_and_in_their_order
            pieces::producers_that_share_do_not_mix_their_pieces
            pieces::whoever_may_not_append_puts_no_pieces
            pieces::a_piece_is_a_sign_of_life_and_tells_of_a_stop
            pieces::pieces_go_with_their_generation
            pieces::a_record_that_is_put_back_takes_pieces_anew
            random::random_lives_match_a_plain_array
            sharing::a_group_shares_the_chunks
            sharing::a_group_is_done_when_everything_is
            sharing::what_is_held_too_long_is_handed_on
            sharing::a_consumer_gets_its_own_back
            sharing::what_is_given_back_counts_as_never_handed_out
            sharing::poison_becomes_a_dead_letter
            sharing::groups_are_listed
            sharing::a_late_resolution_of_a_dead_letter_counts
            sharing::a_group_begins_where_it_is_told
            sharing::a_group_goes_on_over_generations_and_tells_what_it_lost
            sharing::a_group_goes_on_after_what_its_consumer_has_found_to_be_lost
            sharing::only_the_owner_shares
            sharing::groups_are_bounded
            sharing::groups_go_with_their_stream
            finished::what_has_finished_is_queued_once_asked_for
            finished::news_of_the_queue_are_told
            finished::an_end_that_nobody_announced_is_found
            reminding::g4_a_reminder_is_changed_by_those_who_know_it
            reminding::g3_a_change_may_be_repeated
            reminding::what_is_due_is_handed_to_one
            reminding::news_of_reminders_are_told
            reminding::g9_reminders_are_bounded
            reminding::what_is_longest_due_comes_first_and_not_too_much_at_once
            reminding::a_reminder_expires
            telling::a_listening_store_is_told_everything
            telling::a_takeover_is_told_in_order
            telling::nothing_is_told_after_unlisten
            telling::a_lapse_is_told_once
            telling::a_stop_reaches_the_producer_s_node_alone
            telling::an_end_by_somebody_else_reaches_the_producer
            telling::a_producer_is_not_told_its_own_end
            telling::a_shared_end_reaches_the_others
            telling::a_closed_store_refuses_and_hears_nothing
            keeping::status_tells_what_is_known
            keeping::ends_of_many_streams_are_told_at_once
            glancing::a_glance_tells_what_a_status_does
            glancing::very_many_are_found_in_their_order
            glancing::a_lapse_is_found_by_a_glance
            glancing::the_lag_is_that_of_whoever_is_furthest_behind
            keeping::memory_is_measured
            keeping::a_deleted_stream_is_gone
            keeping::a_finished_stream_is_deleted
            keeping::a_deleted_stream_starts_anew
            keeping::an_active_stream_expires
            keeping::a_finished_stream_expires
            keeping::writes_keep_a_stream
            keeping::the_list_is_complete
            keeping::a_stream_that_is_gone_leaves_the_list
            cleaning::only_what_the_rule_is_about_is_removed
            cleaning::a_lapsed_generation_counts_as_ended
            cleaning::a_live_stream_is_removed_by_force_alone
            cleaning::a_stream_is_as_old_as_its_last_chunk
            cleaning::g10_only_the_owner_deletes_as_an_owner
            keeping::prefixes_are_apart
            keeping::any_text_is_a_stream_id
        }
    };
}

macro_rules! cases {
    ($home:ident, $open:expr; $($file:ident::$case:ident)*) => {
        mod $home {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::$file::$case(&crate::world::World::new($open)).await;
                }
            )*
        }
    };
}

fn open_memory(prefix: &str, node: Ulid, listener: Arc<dyn Listener>) -> SharedStore {
    MemoryStore::open("contract", prefix, node, listener)
}

suite!(memory, crate::open_memory);
suite!(redis, crate::server::open);
