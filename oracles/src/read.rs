//! JSON as serde's own data model has it, through `RawValue`: how the other implementation reads a body.
//! It shares serde_json with the block, but neither what is between the values nor how a key is decoded;
//! [`crate::grammar`] shares nothing.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The members of an object in order: decoded key, exact text of the value. `None` if it is not an
/// object, or a key cannot be decoded.
pub fn object(text: &str) -> Option<Vec<(String, &str)>> {
    let Object(members) = serde_json::from_str(text).ok()?;
    Some(
        members
            .into_iter()
            .map(|(key, value)| (key, value.get()))
            .collect(),
    )
}

/// The elements of an array, each as its exact text.
pub fn array(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// A string, decoded. `None` if it is not a string, or cannot be decoded.
pub fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// All values that are given for `key`.
pub fn given<'a>(members: &[(String, &'a str)], key: &str) -> Vec<&'a str> {
    let of_key = members.iter().filter(|(other, _)| other == key);
    of_key.map(|(_, value)| *value).collect()
}

/// The first value that is given for `key` and is not `null`.
pub fn first<'a>(members: &[(String, &'a str)], key: &str) -> Option<&'a str> {
    given(members, key)
        .into_iter()
        .find(|value| *value != "null")
}
