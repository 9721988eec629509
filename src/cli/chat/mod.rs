//! `spacepanda chat`: a person's terminal, and what scripts, bots and tests drive.

mod folder;
mod input;
mod join;
mod lines;
mod naming;
mod output;
mod people;
mod reply;
mod session;
mod standing;
mod told;

use std::{io, process::ExitCode};

use spacepanda::{AppError, Events, Missed, Node};
use tokio::sync::mpsc;

use self::{
    folder::Folder, input::Command, lines::Line, output::Output, reply::Outcome, session::Session,
    told::Told,
};
use super::args::ChatArgs;

/// Opens the node, talks until it is told to stop, and closes the node.
pub(super) async fn run(args: ChatArgs) -> ExitCode {
    let output = Output::new(args.json);
    match talk(&args, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever reads no more learns it from the exit status.
            let _ = output.tell(&Told::failed(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why a conversation ended.
enum End {
    /// The command that is answered once the node is closed.
    Quit,
    /// There is no more input, nobody reads the output, or a signal says so.
    Input,
    /// The node has closed by itself.
    Node,
}

async fn talk(args: &ChatArgs, output: &Output) -> Result<(), AppError> {
    let folder = Folder::open(&args.data)?;
    let is_new = folder.is_new();
    let node = open(args, &folder).await?;
    let mut events = node.events();
    let mut session = match Session::resume(node.clone(), folder).await {
        Ok(session) => session,
        Err(error) => return node.close().await.and(Err(error)),
    };
    let telling = tell(&mut events, output);
    tokio::pin!(telling);
    let end = tokio::select! {
        end = greet_and_listen(&node, args, is_new, &mut session, output) => end.unwrap_or(End::Input),
        told = &mut telling => if told.is_ok() { End::Node } else { End::Input },
        () = stopped() => End::Input,
    };
    match end {
        End::Quit => {
            let (closed, _) = tokio::join!(node.close(), telling);
            let _ = output.reply("quit", "/quit", &closed.map(|()| Outcome::Done {}));
            Ok(())
        }
        End::Input | End::Node => node.close().await,
    }
}

async fn open(args: &ChatArgs, folder: &Folder) -> Result<Node, AppError> {
    let store = match &args.store {
        Some(url) => url.clone(),
        None => folder.store_url()?,
    };
    let mut builder =
        Node::builder().registry(spacepanda::backends()).store(store).folder(folder.path());
    if let Some(state) = standing::state_folder(args.state.as_deref()) {
        builder = builder.state_folder(state);
    }
    if let Some(name) = &args.name {
        builder = builder.name(name);
    }
    for url in &args.listen {
        builder = builder.listen(url);
    }
    for url in &args.announce {
        builder = builder.announce(url);
    }
    builder.open().await.map_err(|error| match error.code() {
        "name.needed" => AppError::new(
            "name.needed",
            "Nobody has a node here yet, and making one needs what you are called. Nothing was made; \
             start again with `--name NAME`.",
        ),
        _ => error,
    })
}

async fn greet_and_listen(
    node: &Node,
    args: &ChatArgs,
    is_new: bool,
    session: &mut Session,
    output: &Output,
) -> io::Result<End> {
    if is_new {
        output.tell(&Told::Notice {
            code: "keys.unencrypted",
            message:
                "This version keeps your keys and messages unencrypted in its store: whoever can \
                      read its files can read them."
                    .to_owned(),
        })?;
    }
    output.tell(&Told::ready(node.identity(), node.device(), session.current()))?;
    standing::greet(node, args.only_copy, output).await?;
    listen(&mut lines::standard_input(), session, output).await
}

/// Answers every line of input, in order, until `/quit` or the end.
async fn listen(
    lines: &mut mpsc::Receiver<Line>,
    session: &mut Session,
    output: &Output,
) -> io::Result<End> {
    while let Some(line) = lines.recv().await {
        let (typed, command) = match line {
            Ok(typed) => {
                let command = input::parse(&typed);
                (typed, command)
            }
            Err(error) => (String::new(), Err(error)),
        };
        let answer = match command {
            Ok(Command::Quit) => return Ok(End::Quit),
            Ok(command) => session.carry_out(command).await,
            Err(error) => Err(error),
        };
        output.reply(input::reply_name(&typed), &typed, &answer)?;
    }
    Ok(End::Input)
}

/// Tells what happens until the node is closed.
async fn tell(events: &mut Events, output: &Output) -> io::Result<()> {
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(event) => Told::event(event),
            Err(Missed(count)) => Some(Told::Missed { count }),
        };
        if let Some(told) = told {
            output.tell(&told)?;
        }
    }
    Ok(())
}

/// Waits until the system asks the program to end.
async fn stopped() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = terminate.recv() => return,
            asked = tokio::signal::ctrl_c() => if asked.is_ok() { return },
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
