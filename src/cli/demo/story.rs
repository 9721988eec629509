//! What happens: they meet, talk, one sleeps and catches up, one is removed.

use super::{
    person::{Person, Place},
    stage::{Failure, Stage, check},
};

/// Plays it from the beginning to the end.
pub(super) async fn play(stage: &mut Stage) -> Result<(), Failure> {
    let alice = stage.step("Alice opens her node", Person::arrive("Alice")).await?;
    let bob = stage.step("Bob opens his node", Person::arrive("Bob")).await?;
    let carol = stage.step("Carol opens her node", Person::arrive("Carol")).await?;
    let at = meet(stage, &alice, [&bob, &carol]).await?;
    talk(stage, at, &alice, &bob, &carol).await?;
    let carol = sleep_and_catch_up(stage, at, &alice, &bob, carol).await?;
    part(stage, at, &alice, &bob, &carol).await?;
    stage
        .step("All three close their nodes", async {
            for person in [carol, bob, alice] {
                person.close().await?;
            }
            Ok(())
        })
        .await
}

async fn meet(stage: &mut Stage, alice: &Person, guests: [&Person; 2]) -> Result<Place, Failure> {
    let at = stage
        .step("Alice makes the server Pandas", async {
            let (server, channel) = alice.node().create_server("Pandas").await?;
            Ok(Place { server, channel })
        })
        .await?;
    let link = stage
        .step("Alice makes an invite", async { Ok(alice.node().create_invite(at.server).await?) })
        .await?;
    for (step, guest) in ["Bob joins by it", "Carol joins by it"].into_iter().zip(guests) {
        let joining = async {
            let (server, channel) = guest.node().join(link.clone()).await?;
            check((server, channel) == (at.server, at.channel), "it was another server")
        };
        stage.step(step, joining).await?;
    }
    stage
        .step("Everybody sees the same three members", async {
            for person in [alice, guests[0], guests[1]] {
                person.sees_members(at, &["Alice", "Bob", "Carol"]).await?;
            }
            Ok(())
        })
        .await?;
    Ok(at)
}

const FROM_ALICE: &str = "Welcome to the bamboo grove";
const FROM_BOB: &str = "Thank you, it smells good here";
const WHILE_ASLEEP: [&str; 3] =
    ["Carol is asleep", "She will read this later", "And know who wrote it"];
const AFTER_BOB: &str = "Bob cannot read this";

async fn talk(
    stage: &mut Stage,
    at: Place,
    alice: &Person,
    bob: &Person,
    carol: &Person,
) -> Result<(), Failure> {
    stage
        .step("Alice writes; Bob and Carol read it, and Alice knows", async {
            let id = alice.write(at, FROM_ALICE).await?;
            bob.reads(at, &[FROM_ALICE]).await?;
            carol.reads(at, &[FROM_ALICE]).await?;
            alice.delivered(at, id).await
        })
        .await?;
    stage.says(alice.name, FROM_ALICE);
    stage
        .step("Bob answers; Alice and Carol read it, and Bob knows", async {
            let id = bob.write(at, FROM_BOB).await?;
            alice.reads(at, &[FROM_ALICE, FROM_BOB]).await?;
            carol.reads(at, &[FROM_ALICE, FROM_BOB]).await?;
            bob.delivered(at, id).await
        })
        .await?;
    stage.says(bob.name, FROM_BOB);
    Ok(())
}

async fn sleep_and_catch_up(
    stage: &mut Stage,
    at: Place,
    alice: &Person,
    bob: &Person,
    carol: Person,
) -> Result<Person, Failure> {
    let asleep = stage.step("Carol closes her node", carol.close()).await?;
    let said = [&[FROM_ALICE, FROM_BOB][..], &WHILE_ASLEEP].concat();
    let talking = async {
        for (index, text) in WHILE_ASLEEP.into_iter().enumerate() {
            let (writer, reader) = if index % 2 == 0 { (alice, bob) } else { (bob, alice) };
            writer.write(at, text).await?;
            reader.reads(at, &said[..index + 3]).await?;
        }
        Ok(())
    };
    stage.step("Alice and Bob go on talking", talking).await?;
    for (index, text) in WHILE_ASLEEP.into_iter().enumerate() {
        stage.says(if index % 2 == 0 { alice.name } else { bob.name }, text);
    }
    let carol = stage.step("Carol opens her node again, as herself", asleep.wake()).await?;
    stage.step("Carol has caught up with all of it, in order", carol.reads(at, &said)).await?;
    Ok(carol)
}

async fn part(
    stage: &mut Stage,
    at: Place,
    alice: &Person,
    bob: &Person,
    carol: &Person,
) -> Result<(), Failure> {
    let before = alice.node().server_status(at.server).await?.epoch;
    let removing = async {
        alice.node().remove_member(at.server, bob.identity()).await?;
        alice.sees_members(at, &["Alice", "Carol"]).await?;
        carol.sees_members(at, &["Alice", "Carol"]).await
    };
    stage.step("Alice removes Bob; Carol sees it", removing).await?;
    let changing = async {
        let with_new_keys = alice.sees_server(at, |status| status.epoch > before).await?;
        carol.sees_server(at, |status| status.stand == with_new_keys.stand).await
    };
    stage.step("Alice and Carol have keys that Bob has not", changing).await?;
    let writing = async {
        alice.write(at, AFTER_BOB).await?;
        let mut said = vec![FROM_ALICE, FROM_BOB];
        said.extend(WHILE_ASLEEP);
        said.push(AFTER_BOB);
        carol.reads(at, &said).await
    };
    stage.step("Alice writes with them; Carol reads it", writing).await?;
    stage.says(alice.name, AFTER_BOB);
    let excluded = async {
        bob.sees_members(at, &["Alice", "Carol"]).await?;
        check(bob.node().server_status(at.server).await?.epoch <= before, "Bob has the new keys")?;
        check(!bob.texts(at).await?.iter().any(|text| text == AFTER_BOB), "Bob has read it")?;
        let written = bob.write(at, "Let me in").await;
        check(written.is_err(), "Bob could write on")
    };
    stage.step("Bob knows that he is out, and can neither read on nor write", excluded).await?;
    let converged = async {
        let hash = alice.node().server_status(at.server).await?.state_hash;
        carol.sees_server(at, |status| status.state_hash == hash).await?;
        Ok(())
    };
    stage.step("Alice and Carol hold the very same state", converged).await
}
