"""What must not hurt anyone's money, and the tests that keep it.

No order is ever sent twice, none is ever lost from the books, nothing is traded on a doubtful picture, and one user's
trouble stops nobody else. Each promise below makes that true in one case; the tests under it make the case happen, and
look at what we did and at what the exchange's books and our tables say then. Paths are below ``tests/``; those without
one are in this package.

SENDING

An accepted order whose reply is lost or late is looked up by its client id, adopted, and never sent again.
    test_sending.py::test_an_accepted_order_whose_reply_is_lost_is_looked_up_adopted_and_never_sent_again
    test_sending.py::test_an_accepted_order_whose_reply_times_out_is_looked_up_adopted_and_never_sent_again
    test_sending.py::test_an_order_that_is_not_shown_at_first_stays_unknown_until_it_is
    integration/trading/test_intents.py::test_an_order_that_cannot_be_looked_up_yet_is_adopted_by_a_later_tick
Half a reply, or HTTP 200 with nonsense, is no reply.
    test_sending.py::test_an_order_answered_with_200_and_garbage_is_looked_up_adopted_and_never_sent_again
    integration/exchange/test_what_becomes_of_an_order.py::test_garbage_with_http_200_leaves_the_order_unknown
A client id that the exchange calls a duplicate is an order that is there.
    test_sending.py::test_an_order_refused_as_a_duplicate_counts_as_placed_and_gets_no_other_id
Who dies after the exchange accepted and before that is saved: the next run resolves the order before it plans.
    test_sending.py::test_who_dies_between_accepted_and_saved_leaves_an_order_that_is_resolved_before_anything_is_planned
    test_sending.py::test_wherever_a_worker_dies_each_pair_has_one_order_in_the_end_and_the_books_agree
    e2e/test_killed_run.py::test_kills_in_the_middle_of_ticks_lose_no_order_and_double_none
Who dies before the request is sent: the order is given up only when it is old enough and was not found repeatedly.
    test_sending.py::test_who_dies_between_intent_and_request_leaves_an_order_that_is_given_up_in_time_and_planned_anew
    test_sending.py::test_an_order_whose_fate_stays_unknown_for_minutes_calls_a_person
    integration/trading/test_intents.py::test_time_alone_does_not_give_an_order_up
    integration/trading/test_intents.py::test_a_late_fill_of_an_order_given_up_for_lost_is_booked
An intent that exists is not sent, whatever became of it.
    test_sending.py::test_an_order_that_fills_at_once_is_not_sent_again_when_its_message_comes_again
    integration/trading/test_intents.py::test_an_intent_that_exists_is_never_sent_again
    integration/trading/test_intents.py::test_a_refused_or_lost_intent_is_not_sent_again_either
    integration/trading/test_intents.py::test_an_order_that_fills_at_once_is_not_sent_again
    integration/trading/test_intents.py::test_the_intent_is_written_before_the_request_goes_out
While an order's fate is unknown its own pair waits, and no other.
    integration/trading/test_intents.py::test_a_pair_with_an_unknown_order_is_blocked_and_the_others_are_not
    integration/trading/test_reconciliation.py::test_one_order_that_cannot_be_looked_up_blocks_its_own_pair_only
A part that was filled is booked once, before a cancel or after it.
    integration/trading/test_reconciliation.py::test_a_partial_fill_then_a_cancel_is_booked_once
    integration/trading/test_reconciliation.py::test_a_partial_fill_between_two_ticks_and_a_cancel_is_booked_by_the_cancel
    test_sending.py::test_a_fill_that_overtakes_the_cancel_is_booked
    test_sending.py::test_a_fill_that_is_told_of_after_the_cancel_is_booked_once
    test_sending.py::test_a_trade_that_is_listed_late_is_booked_when_it_is_listed
A filled quantity that goes down or exceeds the order is not believed, and somebody is called.
    test_sending.py::test_a_filled_quantity_that_goes_down_is_not_believed_and_raises_an_alarm
    test_sending.py::test_more_filled_than_was_ordered_is_not_booked_and_raises_an_alarm
    integration/trading/test_reconciliation.py::test_the_filled_quantity_never_goes_down
A cancel that finds no such order means nothing by itself: what became of the order is asked.
    test_sending.py::test_a_cancel_of_which_the_exchange_knows_nothing_is_not_taken_for_cancelled
    integration/trading/test_reconciliation.py::test_a_cancel_that_finds_the_order_filled_books_it_filled
    integration/trading/test_reconciliation.py::test_a_cancel_of_an_order_cancelled_elsewhere_books_it_cancelled
    integration/trading/test_reconciliation.py::test_a_lost_reply_to_a_cancel_is_settled_by_a_look_at_the_order
    integration/trading/test_reconciliation.py::test_a_cancel_that_was_lost_leaves_the_order_resting_and_says_so
    integration/trading/test_reconciliation.py::test_a_lost_reply_to_a_cancel_that_cannot_be_looked_at_is_settled_by_the_next_tick
A post-only order that would take is no failure: the next tick prices anew.
    test_sending.py::test_a_post_only_order_that_would_take_is_final_no_failure_and_priced_anew_by_the_next_tick
A definite refusal is final, recorded with its reason, and met no more than once a tick.
    test_sending.py::test_a_definite_refusal_is_final_recorded_with_its_reason_and_met_once_a_tick
    integration/trading/test_refusals.py::test_insufficient_funds_are_final_with_the_exchanges_reason
A price or quantity that is no number above zero never leaves.
    integration/exchange/test_what_becomes_of_an_order.py::test_a_number_that_cannot_be_right_never_leaves

EXCHANGE AND TRANSPORT

Where an exchange limits a key or bans a host, nothing more is sent until it says, by any process.
    test_exchange_and_transport.py::test_a_key_that_asked_too_much_is_silent_until_it_may_ask_again_in_every_process
    test_exchange_and_transport.py::test_a_banned_host_is_silent_for_everybody_in_every_process_until_the_ban_has_ended
    test_exchange_and_transport.py::test_a_limit_on_what_is_asked_without_a_key_leaves_out_everybodys_tick_until_it_has_ended
    test_exchange_and_transport.py::test_an_order_that_meets_a_limit_is_looked_up_only_when_requests_are_allowed_again
    integration/trading/test_trouble_in_the_middle.py::test_a_rate_limit_on_an_order_stops_everything_else_of_the_tick
    integration/trading/test_trouble_in_the_middle.py::test_a_rate_limit_on_a_look_up_stops_everything_else_of_the_tick
    integration/trading/test_trouble_in_the_middle.py::test_a_rate_limit_on_a_cancel_stops_everything_else_of_the_tick
    unit/accounts/test_limits.py::test_a_limit_on_the_host_is_learned_whoever_is_asked_for
A read that meets the exchange's own trouble is repeated twice; an order that meets it is unknown and never repeated.
    test_exchange_and_transport.py::test_a_read_that_meets_server_trouble_is_repeated_twice_and_then_the_tick_left_out
    test_exchange_and_transport.py::test_an_exchange_that_is_down_gets_three_requests_from_each_user_and_no_more
    test_exchange_and_transport.py::test_an_order_that_meets_server_trouble_is_unknown_and_never_repeated
A clock that the exchange finds off is set once, and the read repeated.
    test_exchange_and_transport.py::test_a_clock_that_is_off_is_set_once_and_the_tick_goes_on
    test_exchange_and_transport.py::test_a_clock_that_stays_off_leaves_out_the_tick_and_is_not_set_for_ever
    integration/exchange/test_what_becomes_of_an_order.py::test_a_clock_that_is_off_refuses_the_order_and_it_is_not_sent_again
A key that is refused, however that shows, switches its owner's autopilot off, and nobody else's.
    test_exchange_and_transport.py::test_a_key_that_is_refused_switches_its_owners_autopilot_off_with_the_reason_and_nobody_elses
    test_exchange_and_transport.py::test_an_autopilot_that_cannot_be_switched_off_yet_is_switched_off_by_the_next_tick
    integration/trading/test_refusals.py::test_a_key_that_may_read_but_not_trade_switches_the_autopilot_off_at_the_first_order
    integration/trading/test_refusals.py::test_switching_on_again_after_a_refused_key_takes_a_key_that_works
    unit/exchange/test_outcomes.py::test_only_an_authentication_error_of_itself_means_that_the_key_is_refused
Where a key cannot be decrypted its owner's tick is left out and tried again at the next.
    test_exchange_and_transport.py::test_a_key_that_cannot_be_decrypted_leaves_out_its_owners_tick_which_is_tried_again_at_the_next
    unit/store/test_credentials.py::test_without_kms_nothing_is_stored_and_nothing_told

MARKET DATA AND BALANCES

A quote that cannot be right, or is too old, prices nothing, and no weight is rescaled onto the others.
    test_market_data_and_balances.py::test_a_quote_that_cannot_be_right_leaves_out_the_decision_which_says_why
    unit/market_data/test_prices.py::test_a_quote_that_cannot_be_right_is_no_price
    unit/market_data/test_prices.py::test_a_price_past_its_ttl_is_not_used
A market that is halted gets no order; one that is gone leaves out the decision.
    test_market_data_and_balances.py::test_a_market_that_is_halted_gets_no_order_and_the_decision_says_so
    test_market_data_and_balances.py::test_a_market_that_is_gone_leaves_out_the_decision_which_says_so
    integration/trading/test_refusals.py::test_a_market_that_was_halted_meanwhile_refuses_for_good
A price that jumped holds a tick, and somebody is called.
    test_market_data_and_balances.py::test_a_price_that_jumps_for_a_moment_holds_a_tick_and_raises_an_alarm
    test_market_data_and_balances.py::test_a_price_that_stays_where_it_jumped_to_is_believed_by_the_next_tick
    test_market_data_and_balances.py::test_a_price_that_jumps_holds_the_orders_that_rest_too
    test_market_data_and_balances.py::test_a_trade_by_hand_is_refused_on_a_price_that_jumped
Holdings that vanish are not traded on until they have stayed away for a while.
    test_market_data_and_balances.py::test_balances_that_vanish_for_a_moment_are_not_traded_on_and_raise_an_alarm
    test_market_data_and_balances.py::test_quote_that_vanishes_while_buys_rest_is_not_traded_on
    test_market_data_and_balances.py::test_holdings_that_stay_away_are_believed_gone_in_the_end
    test_market_data_and_balances.py::test_holdings_that_own_orders_have_sold_are_no_doubt
What rests in orders counts as held and is not spent; what is unknown is reported; dust is left alone.
    test_market_data_and_balances.py::test_what_rests_in_orders_counts_as_held_and_is_not_spent_again
    test_market_data_and_balances.py::test_assets_that_are_unknown_or_lent_are_reported_and_neither_counted_nor_traded
    test_market_data_and_balances.py::test_dust_is_left_alone_tick_after_tick
    unit/engine/test_rebalance_examples.py::test_locked_balances_count_as_held_and_are_not_spent
A tick goes by one set of market rules; what newer ones refuse is planned anew.
    test_market_data_and_balances.py::test_rules_that_change_during_a_tick_refuse_the_order_which_is_planned_anew_by_the_new_ones

NUMBERS AND SETTINGS

Targets that cannot be are refused with the field and their sum.
    integration/http_api/test_strategy.py::test_targets_that_do_not_sum_to_100_are_refused_with_their_sum
    integration/http_api/test_strategy.py::test_a_negative_target_is_refused_by_its_name
    integration/http_api/test_strategy.py::test_a_target_that_is_no_number_is_refused_by_its_asset
    integration/http_api/test_strategy.py::test_a_name_that_is_there_twice_is_refused
    integration/http_api/test_strategy.py::test_a_wrong_field_is_refused_by_its_name
    unit/engine/test_bad_input.py::test_a_target_outside_0_to_100_is_refused_even_where_the_sum_is_100
    unit/engine/test_bad_input.py::test_an_asset_named_twice_in_another_spelling_is_refused
Odd grids and long amounts are exact, buys rounded down and sells up.
    test_numbers_and_settings.py::test_odd_grids_and_long_amounts_reach_the_exchange_exact_with_buys_rounded_down_and_sells_up
    unit/engine/test_rebalance_examples.py::test_ticks_that_are_no_powers_of_ten_round_away_from_the_market
    unit/engine/test_rebalance_examples.py::test_lots_of_a_thousand_and_of_a_wei
    unit/engine/test_rebalance_examples.py::test_thirty_digit_balances_are_exact
The buys of a decision, with their fees, never cost more than the free quote.
    test_numbers_and_settings.py::test_the_buys_of_a_decision_never_cost_more_than_the_free_quote
    unit/engine/test_rebalance_properties.py::test_buys_with_their_fees_fit_into_the_free_quote_and_each_sell_into_its_free_base

THE CLOUD

An intent not known to be written is not sent; what became of an order is written, or looked up by the next tick.
    test_cloud.py::test_an_intent_that_cannot_be_written_is_not_sent_and_planned_anew_by_the_next_tick
    test_cloud.py::test_what_became_of_an_order_is_written_at_the_second_try_where_the_first_fails
    test_cloud.py::test_what_became_of_an_order_that_cannot_be_written_is_left_to_the_next_tick
    test_cloud.py::test_a_decision_that_cannot_be_logged_is_told_whole_by_an_alarm
    test_cloud.py::test_a_message_whose_users_cannot_be_read_is_reported_and_worked_on_when_it_comes_again
A write without an answer may have been done, and is read again before anything is concluded.
    test_cloud.py::test_a_write_that_succeeds_at_last_sends_its_order_once
    test_cloud.py::test_an_intent_that_was_written_without_an_answer_is_not_sent_and_given_up_in_time
    test_cloud.py::test_a_lease_that_is_not_known_to_be_taken_is_no_leave_to_work
    unit/store/test_orders.py::test_another_run_s_intent_is_not_taken_for_one_s_own_where_the_answer_was_lost
A message that comes twice is worked on once, one that comes late not at all.
    test_cloud.py::test_a_schedule_that_fires_twice_ticks_everybody_once
    test_cloud.py::test_two_workers_with_the_same_message_at_once_place_everybodys_orders_once
    test_cloud.py::test_a_message_older_than_its_period_is_dropped_without_a_request
    integration/trading/test_refusals.py::test_a_message_delivered_twice_trades_once
    unit/store/test_leases.py::test_after_a_tick_comes_the_next_and_never_an_earlier_one
One run at a time works on an account, and one that another has followed can neither write nor send.
    test_cloud.py::test_a_run_whose_lease_was_taken_over_can_neither_write_nor_send_any_more
    integration/trading/test_one_run_at_a_time.py::test_a_tick_beside_another_run_decides_nothing_and_says_why
    integration/trading/test_one_run_at_a_time.py::test_pressing_execute_many_times_at_once_orders_every_pair_once
    unit/store/test_leases.py::test_who_has_lost_the_lease_writes_nothing
    unit/store/test_races.py::test_what_the_new_holder_finds_is_all_that_the_old_one_ever_wrote
A function that is about to end sends nothing more, and leaves the rest to the next tick.
    test_cloud.py::test_a_function_without_time_for_a_tick_begins_none_and_leaves_them_to_another
    test_cloud.py::test_a_function_whose_time_runs_out_sends_no_more_and_leaves_the_rest_to_the_next_tick
    integration/trading/test_one_run_at_a_time.py::test_a_lease_and_the_patience_with_lost_orders_outlive_every_function
A message that cannot be worked on ends among the dead letters, and the others of its batch are done.
    test_cloud.py::test_a_poison_message_is_reported_and_the_others_of_its_batch_are_done
    test_cloud.py::test_a_poison_message_lands_among_the_dead_letters_after_as_many_receives_as_the_template_allows
What is too large, or of another version, is never cut or read in silence.
    test_cloud.py::test_a_decision_too_large_for_an_item_is_logged_in_part_which_says_so_and_its_orders_are_sent
    test_cloud.py::test_an_order_of_another_version_is_left_as_it_is_and_its_owners_tick_out
    unit/store/test_decisions.py::test_a_decision_that_is_too_large_even_in_part_is_not_cut_silently
    unit/store/test_decisions.py::test_a_decision_of_another_version_is_refused
    unit/store/test_strategies.py::test_a_strategy_of_another_version_is_neither_read_nor_written_over
    unit/store/test_orders.py::test_an_order_too_large_for_the_table_is_not_written_in_part
One user's trouble, of whatever kind, leaves the others of the same message with their decision.
    test_cloud.py::test_one_users_trouble_leaves_the_others_of_the_same_message_with_their_decision
Whatever fails at random, for many users at once, none of this is broken.
    integration/soak/test_soak.py::test_whatever_fails_no_order_is_lost_or_doubled

THE DOOR

Nobody is answered without a token, and everybody only about themselves.
    test_api_boundary.py::test_a_request_that_no_authorizer_vouches_for_is_a_401_without_a_hint
    test_api_boundary.py::test_every_route_but_the_public_ones_is_behind_the_gateways_own_check_of_tokens
    test_api_boundary.py::test_a_user_that_a_request_names_counts_for_nothing_beside_the_tokens
    integration/http_api/test_routes.py::test_a_bad_token_is_refused_everywhere
    integration/http_api/test_isolation.py::test_nothing_of_somebody_else_is_seen_or_moved
    integration/http_api/test_routes.py::test_another_user_sees_nothing
    integration/http_api/test_routes.py::test_somebody_elses_decision_is_not_there
    integration/http_api/test_orders_and_decisions.py::test_one_users_cursor_is_of_no_use_to_another
    unit/architecture/test_template_matches_code.py::test_every_route_about_a_user_is_authorised
    integration/workbench/test_api_gateway.py::test_the_user_comes_from_the_token_and_from_nowhere_else
Whatever a body is, the answer is a problem document that begins with a 4.
    integration/http_api/test_hostile_bodies.py::test_a_body_that_makes_no_sense_is_a_4xx
    integration/http_api/test_hostile_bodies.py::test_a_body_over_64_k_is_refused_for_its_size
    integration/http_api/test_hostile_bodies.py::test_odd_text_in_any_field_is_a_4xx
    integration/http_api/test_strategy.py::test_what_is_no_number_is_refused_by_field_and_value
An exchange key that may withdraw is not taken, and one that is taken is never seen again.
    test_api_boundary.py::test_a_key_that_may_withdraw_is_refused_when_it_is_stored
    test_api_boundary.py::test_no_key_and_no_signature_is_in_any_log_line_or_table_whatever_goes_wrong
    test_secrets.py::test_the_key_and_its_secret_are_found_nowhere_but_as_ciphertext
    integration/http_api/test_credentials.py::test_a_refusal_never_repeats_what_might_be_a_secret
    integration/http_api/test_credentials.py::test_keys_are_encrypted_where_they_are_stored_and_appear_in_no_answer_and_no_log
"""
