//! One phase of the programme, from its grant to the last visit. Each step waits for the answers to the one before, so
//! that a phase comes out the same however fast or slow the services hear of each other.

use tahuka_chassis::Refusal;

use super::{Stage, delivery, handover, money, people, projects, settle};

pub async fn play(stage: &mut Stage<'_>, at: usize) -> Result<(), Refusal> {
    let Some(phase) = stage.programme.setting.phases.get(at) else { return Ok(()) };
    stage
        .progress
        .heading(&format!("Phase {}: registration from {} to {}", phase.code, phase.registered_from, phase.registered_to));
    let grants = money::open(stage, &phase.code).await?;
    money::first_instalments(stage, &grants).await?;

    people::register(stage, at).await?;
    people::plan(stage, at).await?;
    settle::answered(stage).await?;
    let submitted = projects::submit(stage, &phase.code).await?;
    let campaigns = projects::plan_campaigns(stage, &phase.code).await?;
    settle::answered(stage).await?;

    money::other_instalments(stage, &grants).await?;
    settle::answered(stage).await?;
    people::approve(stage).await?;

    delivery::teach(stage, at).await?;
    delivery::hand_out(stage, at).await?;
    projects::build(stage, submitted).await?;
    projects::hold_campaigns(stage, campaigns).await?;
    money::administration(stage, &grants).await?;
    delivery::visit(stage, at).await?;
    settle::booked(stage).await?;

    // Money that came back from drop-outs and savings has gone to who waited.
    if people::approve(stage).await? > 0 {
        settle::booked(stage).await?;
    }
    let code = phase.code.clone();
    handover::after_phase(stage, &code).await
}
