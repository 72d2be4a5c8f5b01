//! End-to-end scenarios: each is told once and played on every form of the platform, through the
//! gateway, as its users would.

mod bad_input;
mod demonstration;
mod disclosure;
mod doors;
mod importing;
mod money;
mod operators;
mod programme;
mod reporting;
mod scoped_views;
mod stock_client;
mod story;

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
    bad_input::whatever_is_sent_the_answer_is_a_refusal,
    demonstration::the_report_is_what_the_files_say,
    doors::a_call_without_a_good_token_is_refused,
    doors::an_rpc_without_a_rule_cannot_be_called,
    doors::a_passport_of_ones_own_opens_nothing,
    scoped_views::each_tenant_sees_what_it_is_given,
    scoped_views::a_repeated_request_takes_effect_once,
    scoped_views::bad_input_names_the_field,
    scoped_views::a_revoked_agreement_ends_the_view,
    disclosure::each_partner_has_names_of_its_own_for_the_same_people,
    disclosure::a_custodian_knows_who_has_seen_a_family,
    importing::good_rows_land_and_bad_ones_are_told,
    money::a_plan_is_funded_approved_delivered_and_spent,
    money::what_no_grant_covers_waits_and_is_served_by_vulnerability,
    money::a_cancelled_plan_gives_its_money_back,
    money::yen_are_credited_at_the_rate_of_their_day,
    money::who_does_not_consent_gets_no_plan,
    operators::health_and_metrics_name_nobody,
    reporting::small_counts_are_kept_from_the_donor,
    reporting::a_published_figure_stands_beside_what_was_counted,
    reporting::a_pledge_to_the_appeal_is_everybodys_to_know,
    stock_client::a_stock_python_client_meets_the_same_doors,
];

async fn play<F>(form: Form, scenario: impl FnOnce(Platform) -> F)
where
    F: Future<Output = ()>,
{
    if let Some(platform) = Platform::start(form).await {
        scenario(platform).await;
    }
}
