//! End-to-end scenarios: each is told once and played on every form of the platform, through the
//! gateway, as its users would.

mod doors;
mod importing;
mod programme;
mod scoped_views;

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
    doors::a_call_without_a_good_token_is_refused,
    doors::an_rpc_without_a_rule_cannot_be_called,
    doors::a_passport_of_ones_own_opens_nothing,
    scoped_views::each_tenant_sees_what_it_is_given,
    scoped_views::a_repeated_request_takes_effect_once,
    scoped_views::bad_input_names_the_field,
    scoped_views::a_revoked_agreement_ends_the_view,
    importing::good_rows_land_and_bad_ones_are_told,
];

async fn play<F>(form: Form, scenario: impl FnOnce(Platform) -> F)
where
    F: Future<Output = ()>,
{
    if let Some(platform) = Platform::start(form).await {
        scenario(platform).await;
    }
}
