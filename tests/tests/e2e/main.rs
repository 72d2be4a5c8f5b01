//! End-to-end scenarios: each is told once and played on every form of the platform, through the
//! gateway, as its users would.

mod agreements;
mod applying;
mod backup;
mod bad_input;
mod canary;
mod collector;
mod command_line;
mod demonstration;
mod disclosure;
mod doctor;
mod doors;
mod encrypted;
mod handover;
mod importing;
mod issuer;
mod money;
mod operators;
mod programme;
mod replacing;
mod reporting;
mod scoped_views;
mod starting;
mod stock_client;
mod story;
mod support_bundle;
mod tokens;
mod traces;

use tahuka_tests::{Form, Platform};

/// The same scenario embedded, on PostgreSQL with JetStream, and as separate processes.
macro_rules! on_every_form {
    ($($room:ident :: $scenario:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() { crate::play(tahuka_tests::Form::Embedded, crate::$room::$scenario).await; })*
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() { crate::play(tahuka_tests::Form::Production, crate::$room::$scenario).await; })*
        }
        mod separate {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() { crate::play(tahuka_tests::Form::Separate, crate::$room::$scenario).await; })*
        }
    };
}

on_every_form![
    agreements::what_was_agreed_holds_until_both_have_signed_anew,
    agreements::an_agreement_that_names_a_grant_shows_that_one_alone,
    applying::files_are_brought_about_and_then_nothing_changes,
    backup::a_backup_comes_back_to_the_last_figure,
    backup::a_dead_letter_is_replayed_from_the_command_line,
    bad_input::whatever_is_sent_the_answer_is_a_refusal,
    command_line::tenants_and_staff_are_kept_from_the_command_line,
    command_line::agreements_are_made_and_ended_from_the_command_line,
    demonstration::the_report_is_what_the_files_say,
    doctor::a_platform_that_is_well_is_found_well,
    doctor::what_is_out_of_reach_is_found,
    doctor::what_is_open_in_the_database_is_found,
    doctor::what_is_lost_between_journal_and_stream_is_found,
    doors::a_call_without_a_good_token_is_refused,
    doors::an_rpc_without_a_rule_cannot_be_called,
    doors::a_passport_of_ones_own_opens_nothing,
    scoped_views::each_tenant_sees_what_it_is_given,
    scoped_views::a_repeated_request_takes_effect_once,
    scoped_views::bad_input_names_the_field,
    scoped_views::a_revoked_agreement_ends_the_view,
    disclosure::each_partner_has_names_of_its_own_for_the_same_people,
    disclosure::the_keys_of_names_and_pages_change_while_everybody_works,
    disclosure::a_custodian_knows_who_has_seen_a_family,
    handover::a_tranche_goes_over_and_the_recipient_works_on,
    handover::what_is_sealed_takes_no_writes_until_it_is_unsealed,
    handover::each_step_has_its_time_its_party_and_its_key,
    handover::what_stands_in_the_way_is_named,
    handover::a_bag_is_taken_into_another_installation,
    importing::good_rows_land_and_bad_ones_are_told,
    money::a_plan_is_funded_approved_delivered_and_spent,
    money::what_no_grant_covers_waits_and_is_served_by_vulnerability,
    money::a_cancelled_plan_gives_its_money_back,
    money::yen_are_credited_at_the_rate_of_their_day,
    money::who_does_not_consent_gets_no_plan,
    operators::health_and_metrics_name_nobody,
    operators::what_must_be_asked_for_is_there_soon,
    reporting::small_counts_are_kept_from_the_donor,
    reporting::a_published_figure_stands_beside_what_was_counted,
    reporting::a_pledge_to_the_appeal_is_everybodys_to_know,
    stock_client::a_stock_python_client_meets_the_same_doors,
    support_bundle::a_support_bundle_names_nobody,
    support_bundle::a_support_bundle_masks_secrets,
    tokens::forged_tokens_are_refused_in_the_same_words,
    tokens::an_issuers_keys_change_at_its_url,
    tokens::claims_of_a_token_narrow_and_clients_are_told_apart,
    tokens::who_is_put_out_is_out_within_seconds,
    tokens::an_open_call_ends_with_its_callers_right,
    tokens::a_service_opens_to_a_passport_that_names_it_alone,
    tokens::the_passport_key_changes_while_everybody_works,
];

/// What needs nothing but a gateway, on a platform that runs already: pods of the chart, for example.
mod elsewhere {
    macro_rules! at_the_gateway {
        ($($room:ident :: $scenario:ident),* $(,)?) => {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a platform that runs already: `make chart-smoke`"]
            async fn $scenario() { crate::play(tahuka_tests::Form::Elsewhere, crate::$room::$scenario).await; })*
        }
    }
    at_the_gateway![
        agreements::what_was_agreed_holds_until_both_have_signed_anew,
        agreements::an_agreement_that_names_a_grant_shows_that_one_alone,
        bad_input::whatever_is_sent_the_answer_is_a_refusal,
        doors::a_call_without_a_good_token_is_refused,
        doors::an_rpc_without_a_rule_cannot_be_called,
        scoped_views::each_tenant_sees_what_it_is_given,
        scoped_views::a_repeated_request_takes_effect_once,
        scoped_views::bad_input_names_the_field,
        scoped_views::a_revoked_agreement_ends_the_view,
        disclosure::each_partner_has_names_of_its_own_for_the_same_people,
        importing::good_rows_land_and_bad_ones_are_told,
        money::a_plan_is_funded_approved_delivered_and_spent,
        money::what_no_grant_covers_waits_and_is_served_by_vulnerability,
        money::a_cancelled_plan_gives_its_money_back,
        money::yen_are_credited_at_the_rate_of_their_day,
        money::who_does_not_consent_gets_no_plan,
        reporting::small_counts_are_kept_from_the_donor,
        reporting::a_published_figure_stands_beside_what_was_counted,
        reporting::a_pledge_to_the_appeal_is_everybodys_to_know,
        stock_client::a_stock_python_client_meets_the_same_doors,
        tokens::an_open_call_ends_with_its_callers_right,
    ];
}

async fn play<F>(form: Form, scenario: impl FnOnce(Platform) -> F)
where
    F: Future<Output = ()>,
{
    if let Some(platform) = Platform::start(form).await {
        scenario(platform).await;
    }
}
