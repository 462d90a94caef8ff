//! The built-in operations: what each one answers at a given time after its first request.
//!
//! The times inside the bodies are fixed, so that two runs print the same text. `batchNumber` is not in Google's
//! `DevicesLongRunningOperationMetadata`: it plays a member added after a client was written, and its value,
//! 2^53 + 1, is the smallest positive integer that a double cannot hold.

use std::time::Duration;

use bytes::Bytes;

/// One built-in operation: the service that owns it and its two states.
pub(crate) struct BuiltinOperation {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    running: &'static str,
    ended: &'static str,
}

pub(crate) static BUILTIN_OPERATIONS: [BuiltinOperation; 3] = [
    BuiltinOperation {
        service: "apigateway.googleapis.com/v1",
        name: "projects/demo/locations/global/operations/operation-create-api",
        running: include_str!("create-api.running.json"),
        ended: include_str!("create-api.ended.json"),
    },
    BuiltinOperation {
        service: "workspaceevents.googleapis.com/v1beta",
        name: "operations/space-subscription",
        running: include_str!("space-subscription.running.json"),
        ended: include_str!("space-subscription.ended.json"),
    },
    BuiltinOperation {
        service: "androiddeviceprovisioning.googleapis.com/v1",
        name: "operations/apibatchoperation/claim-devices",
        running: include_str!("claim-devices.running.json"),
        ended: include_str!("claim-devices.ended.json"),
    },
];

/// How the embedded running state spells a progress, for the operation that reports one.
const NO_PROGRESS: &str = "\"progress\": 0";

impl BuiltinOperation {
    /// The operation as JSON text, `elapsed` after its first request, when it runs for `run_time`.
    pub(crate) fn body(&self, elapsed: Duration, run_time: Duration) -> Bytes {
        if elapsed >= run_time {
            return Bytes::from_static(self.ended.as_bytes());
        }
        if !self.running.contains(NO_PROGRESS) {
            return Bytes::from_static(self.running.as_bytes());
        }
        // Below 100 as long as the operation runs, and no division by zero: elapsed < run_time here.
        let percent = elapsed.as_nanos() * 100 / run_time.as_nanos();
        let progress = format!("\"progress\": {percent}");
        Bytes::from(self.running.replacen(NO_PROGRESS, &progress, 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const RUN_TIME: Duration = Duration::from_secs(3);

    fn state(index: usize, elapsed_millis: u64) -> Value {
        let elapsed = Duration::from_millis(elapsed_millis);
        let body = BUILTIN_OPERATIONS[index].body(elapsed, RUN_TIME);
        serde_json::from_slice(&body).expect("the embedded JSON is valid")
    }

    #[test]
    fn every_state_carries_the_name_of_its_operation() {
        for (index, operation) in BUILTIN_OPERATIONS.iter().enumerate() {
            assert_eq!(state(index, 0)["name"], operation.name);
            assert_eq!(state(index, 3000)["name"], operation.name);
        }
    }

    #[test]
    fn create_api_runs_without_a_done_member_and_ends_in_an_api() {
        let running = state(0, 2999);
        assert_eq!(running.get("done"), None);
        assert_eq!(running.get("response"), None);
        let metadata = &running["metadata"];
        assert_eq!(
            metadata["@type"],
            "type.googleapis.com/google.cloud.apigateway.v1.OperationMetadata"
        );
        assert_eq!(metadata["requestedCancellation"], false);
        assert_eq!(metadata["apiVersion"], "v1");
        assert_eq!(metadata.get("endTime"), None);

        let ended = state(0, 3000);
        assert_eq!(ended["done"], true);
        assert_eq!(ended.get("error"), None);
        assert_eq!(
            ended["metadata"]["endTime"],
            "2026-03-02T09:30:03.987654321Z"
        );
        assert_eq!(
            ended["response"]["@type"],
            "type.googleapis.com/google.cloud.apigateway.v1.Api"
        );
        assert_eq!(ended["response"]["name"], metadata["target"]);
    }

    #[test]
    fn space_subscription_ends_in_an_error_with_details() {
        assert_eq!(state(1, 0)["done"], false);
        assert_eq!(state(1, 0).get("error"), None);

        let ended = state(1, 3000);
        assert_eq!(ended["done"], true);
        assert_eq!(ended.get("response"), None);
        assert_eq!(ended["error"]["code"], 7);
        let details = ended["error"]["details"].as_array().expect("a list");
        assert_eq!(details.len(), 2);
        assert_eq!(
            details[0]["@type"],
            "type.googleapis.com/google.rpc.ErrorInfo"
        );
        assert_eq!(details[0]["reason"], "IAM_PERMISSION_DENIED");
        assert_eq!(details[1]["@type"], "type.googleapis.com/google.rpc.Help");
        assert!(details[1]["links"][0]["url"].is_string());
    }

    #[test]
    fn claim_devices_progresses_and_ends_without_an_error() {
        for (elapsed_millis, progress) in [(0, 0), (30, 1), (1500, 50), (2999, 99)] {
            let running = state(2, elapsed_millis);
            assert_eq!(
                running["metadata"]["progress"], progress,
                "after {elapsed_millis} ms"
            );
            assert_eq!(
                running["metadata"]["processingStatus"],
                "BATCH_PROCESS_IN_PROGRESS"
            );
            assert_eq!(running.get("done"), None);
        }

        let ended = state(2, 3000);
        assert_eq!(ended["done"], true);
        assert_eq!(ended.get("error"), None);
        assert_eq!(ended["metadata"]["progress"], 100);
        assert_eq!(
            ended["metadata"]["processingStatus"],
            "BATCH_PROCESS_PROCESSED"
        );
        assert_eq!(ended["metadata"]["batchNumber"], 9_007_199_254_740_993_u64);
        assert_eq!(ended["response"]["successCount"], 2);
        let devices = ended["response"]["perDeviceStatus"]
            .as_array()
            .expect("a list");
        assert_eq!(devices.len(), 3);
        assert_eq!(devices[0]["claim"]["customerId"], "9007199254740993");
        assert_eq!(
            devices[1]["result"]["status"],
            "SINGLE_DEVICE_STATUS_INVALID_DEVICE_IDENTIFIER"
        );
        assert_eq!(
            devices[1]["result"]["errorIdentifier"],
            "INVALID_DEVICE_IMEI"
        );
    }

    #[test]
    fn an_operation_without_run_time_has_ended_at_once() {
        let body = BUILTIN_OPERATIONS[2].body(Duration::ZERO, Duration::ZERO);
        assert_eq!(body, BUILTIN_OPERATIONS[2].ended.as_bytes());
    }
}
