//! Input that no good client sends: every RPC answers it with a refusal, and goes on.

use tahuka_proto::access;
use tahuka_tests::{BytesCodec, Platform, Voice};
use tonic::{Code, Request, Status};

use crate::programme::Programme;

/// Pseudo-random bytes that are the same in every run (xorshift).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Field 1 to 15 with a text that is no id, no date and no number.
fn nonsense() -> Vec<u8> {
    (1..=15_u8).flat_map(|field| [vec![field << 3 | 2, 5], b"\xE2\x82\xACx\x01".to_vec()].concat()).collect()
}

async fn send(voice: &Voice, path: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(voice.line());
    client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let path = path.parse().expect("a path of the contract");
    Ok(client.unary(Request::new(message), path, BytesCodec).await?.into_inner())
}

pub async fn whatever_is_sent_the_answer_is_a_refusal(mut platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let mut asked = 0;
    for (n, (path, _)) in access::rules().enumerate() {
        let messages = [Vec::new(), noise(n as u64, 7), noise(n as u64, 300), nonsense(), vec![0xff; 64]];
        for message in messages {
            let Err(refused) = send(&programme.iom, path, message).await else { continue };
            let refusal = !matches!(refused.code(), Code::Unknown | Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled);
            assert!(refusal, "{path}: {refused:?}");
            assert!(!refused.message().contains("panic"), "{path}: {refused:?}");
            asked += 1;
        }
    }
    assert!(asked > access::rules().count(), "most of it is refused");
    assert!(platform.is_alive());
}
