use super::{driver::Driver, machinery::Machinery, mirroring::Heard, saves::Outcome};
use crate::{
    app::engine::{Act, AppError, Event, Finding, Input, Tell},
    base::DeviceId,
};

impl<M: Machinery> Driver<M> {
    /// Acts, then tells, step by step.
    pub(super) fn release(&mut self, outcomes: Vec<Outcome>) -> Result<(), AppError> {
        for Outcome { acts, tells } in outcomes {
            for act in acts {
                self.act(act);
            }
            for tell in tells {
                self.tell(tell)?;
            }
        }
        Ok(())
    }

    /// Says to the machine what was found outside the store: before any call can reach it.
    fn find_mirror(&mut self, device: &DeviceId) -> Result<(), AppError> {
        let (finding, failed) = self.mirroring.find(device, self.kept.generation());
        if finding == Finding::Ahead {
            self.mirroring.mark()?;
        }
        if let Some(message) = failed {
            self.hear_mirror(Heard::Failed(message));
        }
        self.push(Input::Found(finding));
        Ok(())
    }

    pub(super) fn hear_mirror(&mut self, heard: Heard) {
        match heard {
            Heard::Shared => self.push(Input::Found(Finding::Shared)),
            Heard::Failed(message) => {
                tracing::warn!("the mirror outside the data folder cannot be used");
                // Perhaps nobody listens.
                let _ = self.events.send(Event::MirrorFailed { message });
            }
        }
    }

    fn act(&mut self, act: Act) {
        let inputs = match act {
            Act::Send(link, frame) => self.links.send(link, frame),
            Act::Close(link) => self.links.close(link),
            Act::Dial(dial, addresses) => match self.dials.begin(dial, addresses) {
                true => Vec::new(),
                false => vec![Input::DialFailed { dial }],
            },
        };
        self.push_all(inputs);
    }

    fn tell(&mut self, tell: Tell) -> Result<(), AppError> {
        match tell {
            Tell::Started(Ok(ids)) => {
                self.device.send_replace(Some(ids.1));
                self.find_mirror(&ids.1)?;
                if let Some(started) = self.started.take() {
                    // Whoever opens the node may have given up; then its handle is gone too.
                    let _ = started.send(Ok(ids));
                }
            }
            Tell::Started(Err(error)) => return Err(error),
            Tell::Judged => self.mirroring.begin()?,
            Tell::Reply(call, reply) => {
                if let Some(answer) = self.calls.remove(&call) {
                    // Whoever called may have given up.
                    let _ = answer.send(reply);
                }
            }
            Tell::Event(event) => {
                if let Event::DeviceRenewed { device } = &event {
                    self.device.send_replace(Some(*device));
                    self.mirroring.renew(device)?;
                }
                // Perhaps nobody listens.
                let _ = self.events.send(event);
            }
        }
        Ok(())
    }
}
