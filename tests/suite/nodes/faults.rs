//! What goes wrong with a Rancher, and what becomes of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skydose::{
    http::{Call, Client, Endpoint, Method, Retry},
    nodes::{NodesError, Permit, Phase, Pool, Scaled, contract::POOL},
};

use super::{
    World,
    rancher::{CLUSTER, Outage, TOKEN, now},
};

async fn both() -> [World; 2] {
    [World::v3().await, World::v1().await]
}

async fn pool(world: &World) -> Pool {
    world.provider.pools().await.unwrap().remove(0)
}

async fn scale(world: &World, from: u32, to: u32) -> Result<Scaled, NodesError> {
    world.provider.scale_to(POOL, from, to, Permit::always()).await
}

#[tokio::test]
async fn a_write_that_a_reconcile_takes_back_is_written_again() {
    let world = World::v3().await;
    world.rancher.server().lost_updates = 1;
    assert_eq!(scale(&world, 3, 5).await, Ok(Scaled::To(5)));
    assert_eq!(world.rancher.server().writes.len(), 2);
    world.rancher.server().lost_updates = u32::MAX;
    let error = scale(&world, 5, 6).await.unwrap_err();
    assert_eq!(error, NodesError::Reverted { pool: POOL.into(), wanted: 6, found: 5 });
}

#[tokio::test]
async fn conflicts_are_tried_again() {
    for world in both().await {
        world.rancher.server().conflicts = 2;
        assert_eq!(scale(&world, 3, 4).await, Ok(Scaled::To(4)), "{:?}", world.provider);
    }
    let world = World::v1().await;
    let victim = pool(&world).await.machines[2].id.clone();
    world.rancher.server().conflicts = 3;
    let removal = world.provider.remove(POOL, std::slice::from_ref(&victim), Permit::always()).await.unwrap();
    assert_eq!((removal.gone, removal.kept), (vec![victim], vec![]));
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_counts_once() {
    for world in both().await {
        world.rancher.server().lost_answers = 1;
        assert_eq!(scale(&world, 3, 4).await, Ok(Scaled::To(4)));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let victim = pool(&world).await.machines[0].id.clone();
        world.rancher.server().lost_answers = 1;
        let removal = world.provider.remove(POOL, std::slice::from_ref(&victim), Permit::always()).await.unwrap();
        assert_eq!(removal.gone, [victim]);
        let after = pool(&world).await;
        assert_eq!((after.wanted, after.count()), (3, 3), "{:?}", world.provider);
    }
}

#[tokio::test]
async fn an_outage_is_an_error_in_bounded_time_and_nothing_else() {
    for world in both().await {
        let before = pool(&world).await;
        for outage in [Outage::Answers(500), Outage::Answers(503), Outage::Hangs] {
            world.rancher.server().outage = outage;
            #[expect(clippy::disallowed_methods, reason = "a test of a time-out")]
            let started = Instant::now();
            let error = world.provider.pools().await.unwrap_err();
            assert!(!error.is_lasting(), "{error}");
            assert!(error.to_string().contains("3 attempts"), "{error}");
            assert!(started.elapsed() < Duration::from_secs(3), "{error}");
            assert!(scale(&world, 3, 5).await.is_err());
        }
        world.rancher.server().outage = Outage::None;
        assert_eq!(pool(&world).await, before);
    }
}

#[tokio::test]
async fn a_token_is_read_again_and_its_end_is_seen() {
    for world in both().await {
        let soon: jiff::Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
        {
            let mut server = world.rancher.server();
            server.tokens =
                [("token-fresh:secret".to_owned(), Some(soon)), (TOKEN.to_owned(), Some(jiff::Timestamp::UNIX_EPOCH))]
                    .into();
        }
        let error = world.provider.pools().await.unwrap_err();
        assert!(error.to_string().ends_with("401: Unauthorized 401: must authenticate"), "{error}");
        assert!(error.is_lasting());
        std::fs::write(&world.token_file, "token-fresh:secret").unwrap();
        assert_eq!(pool(&world).await.wanted, 3);
        let health = world.provider.health().await;
        assert_eq!(
            (health.token_expires, health.version.as_deref(), health.fault),
            (Some(soon), Some("v2.11.3"), None)
        );
        std::fs::remove_file(&world.token_file).unwrap();
        let error = world.provider.pools().await.unwrap_err().to_string();
        assert!(error.contains("token file") && error.contains("No such file"), "{error}");
    }
}

#[tokio::test]
async fn the_wrong_version_is_refused_with_the_remedy() {
    let world = World::v3().await;
    world.rancher.server().version = Some("v2.12.1".to_owned());
    let refused = pool(&world).await.refused.unwrap();
    assert!(refused.contains("Rancher v2.12.1") && refused.contains("rancher-v1"), "{refused}");
    world.rancher.server().version = None;
    assert_eq!(pool(&world).await.refused, None, "a token that may not see the version may work");
    let world = World::v1().await;
    world.rancher.server().version = Some("v2.5.9".to_owned());
    let error = world.provider.pools().await.unwrap_err().to_string();
    assert!(error.contains("v2.5.9") && error.contains("rancher-v3"), "{error}");
}

#[tokio::test]
async fn a_foreign_autoscaler_is_refused_and_nothing_is_written() {
    let world = World::v1().await;
    world.rancher.server().cluster["spec"]["rkeConfig"]["machinePools"][1]["autoscalingMaxSize"] = json!(8);
    let seen = pool(&world).await;
    assert!(seen.refused.as_deref().unwrap().contains("remove autoscalingMinSize and autoscalingMaxSize"), "{seen:?}");
    assert!(matches!(scale(&world, 3, 5).await, Err(NodesError::Refused { .. })));
    let machines = [seen.machines[0].id.clone()];
    assert!(matches!(world.provider.remove(POOL, &machines, Permit::always()).await, Err(NodesError::Refused { .. })));
    assert!(world.rancher.server().writes.is_empty());
}

#[tokio::test]
async fn lists_are_read_to_the_end_and_filtered_again() {
    for world in both().await {
        scale(&world, 3, 9).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        for ignores_filters in [false, true] {
            world.rancher.server().ignores_filters = ignores_filters;
            let seen = pool(&world).await;
            assert_eq!(seen.in_phase(Phase::Running), 9, "{seen:?}");
        }
    }
}

#[tokio::test]
async fn other_fields_survive_a_write() {
    let world = World::v1().await;
    let before = world.rancher.server().cluster.clone();
    scale(&world, 3, 4).await.unwrap();
    let mut after = world.rancher.server().cluster.clone();
    after["spec"]["rkeConfig"]["machinePools"][1]["quantity"] = json!(3);
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    assert_eq!(after, before);
    let world = World::v3().await;
    scale(&world, 3, 4).await.unwrap();
    let body = world.rancher.server().writes[0].body.clone();
    assert_eq!(body, json!({"quantity": 4}), "the server merges: one field is sent");
}

#[tokio::test]
async fn a_quantity_that_is_null_is_written_over_what_was_read() {
    let world = World::v1().await;
    world.rancher.server().cluster["spec"]["rkeConfig"]["machinePools"][1]["quantity"] = Value::Null;
    world.rancher.server().cloud.set_quantity(POOL, 1, now());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pool(&world).await.wanted, 1);
    assert_eq!(scale(&world, 1, 2).await, Ok(Scaled::To(2)));
}

#[tokio::test]
async fn nothing_is_removed_while_a_stranger_deletes() {
    let world = World::v1().await;
    world.rancher.server().cloud.behaviour.leave = None;
    let machines: Vec<String> = pool(&world).await.machines.into_iter().map(|m| m.id).collect();
    // A stranger deletes a machine without lowering the number: lowering it
    // now would keep ours.
    world.rancher.server().cloud.delete(&machines[0], now());
    let error = world.provider.remove(POOL, &machines[2..], Permit::always()).await.unwrap_err();
    assert!(matches!(error, NodesError::Unsettled { .. }), "{error}");
    assert_eq!(pool(&world).await.wanted, 3);
}

#[tokio::test]
async fn a_machine_that_does_not_leave_is_given_back() {
    let world = World::v1().await;
    let machines: Vec<String> = pool(&world).await.machines.into_iter().map(|m| m.id).collect();
    // The controllers are away for longer than is waited.
    world.rancher.server().cloud.behaviour.reconcile = Duration::from_mins(1);
    let removal = world.provider.remove(POOL, &machines[1..2], Permit::always()).await.unwrap();
    assert_eq!(
        removal.kept,
        [(
            machines[1].clone(),
            NodesError::Stayed { machine: machines[1].clone(), within: Duration::from_millis(1500) }
        )]
    );
    let after = pool(&world).await;
    assert_eq!((after.wanted, after.count()), (3, 3));
    assert!(after.machines.iter().all(|m| !m.marked));
}

#[tokio::test]
async fn the_simulator_refuses_what_rancher_refuses() {
    let (v3, v1) = (World::v3().await, World::v1().await);
    let refused = async |world: &World, method: Method, path: &str, media: &str, body: &Value| {
        let client = Client::new(Endpoint {
            url: world.rancher.url.clone(),
            token_file: Some(world.token_file.clone()),
            ca_file: None,
            insecure_tls: false,
            metadata_service: false,
            timeout: Duration::from_secs(1),
            retry: Retry::default(),
        });
        client.unwrap().send(&Call::write(method, path, media, body), &|| true).await.unwrap_err().to_string()
    };
    let (pool, cluster) = (
        format!("/v3/nodePools/{CLUSTER}:np-gpu"),
        format!("/v1/provisioning.cattle.io.clusters/fleet-default/{CLUSTER}"),
    );
    let said = refused(&v3, Method::PATCH, &pool, "application/json", &json!({"quantity": 1})).await;
    assert!(said.contains("405 MethodNotAllow"), "{said}");
    let mut object = v1.rancher.server().cluster.clone();
    object["metadata"]["resourceVersion"] = json!("1");
    let said = refused(&v1, Method::PUT, &cluster, "application/json", &object).await;
    assert!(said.contains("409 Conflict"), "{said}");
    object["metadata"]["resourceVersion"] = Value::Null;
    let said = refused(&v1, Method::PUT, &cluster, "application/json", &object).await;
    assert!(said.contains("500 ServerError: metadata.resourceVersion is required for update"), "{said}");
    let patch = json!([{"op": "test", "path": "/spec/rkeConfig/machinePools/1/quantity", "value": 7}]);
    let said = refused(&v1, Method::PATCH, &cluster, "application/json-patch+json", &patch).await;
    assert!(said.contains("422"), "{said}");
}
