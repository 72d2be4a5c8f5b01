//! A voice in the house: requests as JSON, in somebody's name, and what their answers say at a path.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use serde_json::{Value as Json, json};
use tahuka_chassis::ids;
use tahuka_chassis::passport::Bearer;

use crate::home::{Home, Rpc, rpcs};

/// Speaks to the house in somebody's name; what is refused is a failure.
pub struct Speaker<'a> {
    home: &'a Home,
    rpcs: BTreeMap<String, Rpc>,
    bearer: Bearer,
}

impl<'a> Speaker<'a> {
    pub fn new(home: &'a Home, bearer: Bearer) -> Self {
        let rpcs = rpcs().into_iter().map(|rpc| (rpc.method.name().to_owned(), rpc)).collect();
        Speaker { home, rpcs, bearer }
    }

    /// The requests as one stream.
    pub async fn send(&self, method: &str, messages: Vec<Json>) -> DynamicMessage {
        let rpc = &self.rpcs[method];
        let encode = |json: Json| {
            let input = rpc.method.input();
            let message = DynamicMessage::deserialize(input, json).unwrap_or_else(|e| panic!("{method}: {e}"));
            prost::Message::encode_to_vec(&message)
        };
        let passport = self.home.passport(&self.bearer);
        let mut answer = self.home.call(rpc, messages.into_iter().map(encode).collect(), Some(&passport)).await;
        assert!(answer.status.is_none(), "{method}: {:?}", answer.status);
        answer.messages.pop().unwrap_or_else(|| panic!("{method} answers nothing"))
    }

    pub fn input(&self, method: &str) -> MessageDescriptor {
        self.rpcs[method].method.input()
    }

    /// One request, with an id where it takes one.
    pub async fn say(&self, method: &str, mut request: Json) -> DynamicMessage {
        if self.input(method).get_field_by_name("request_id").is_some() {
            request["request_id"] = json!(ids::new_id().to_string());
        }
        self.send(method, vec![request]).await
    }
}

/// The text at a path of field names, the first of lists.
pub fn text(message: &DynamicMessage, path: &str) -> String {
    let (head, rest) = path.split_once('.').map_or((path, None), |(h, r)| (h, Some(r)));
    let value = message.get_field_by_name(head).unwrap_or_else(|| panic!("no field {path}")).into_owned();
    let value = match value {
        Value::List(mut values) => values.swap_remove(0),
        value => value,
    };
    match (value, rest) {
        (Value::String(text), None) => text,
        (Value::Message(inner), Some(rest)) => text(&inner, rest),
        (value, _) => panic!("{path} is {value:?}"),
    }
}

/// The text at a path in each message of a list.
pub fn all(message: &DynamicMessage, list: &str, field: &str) -> Vec<String> {
    let list = message.get_field_by_name(list).expect("a list").into_owned();
    let list = list.as_list().expect("a list").to_vec();
    list.iter().map(|one| text(one.as_message().expect("messages"), field)).collect()
}
