//! Co-access statistics of a model: texts go through it, and what they do to its experts is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symbiote_format::{Coaccess, CoaccessError, Mixture};

use super::{EngineError, RouteListener, Routes, SymbioteEngine};
use crate::coaccess::CoaccessCounter;
use crate::text::EncodeOptions;

/// A text, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileText {
    /// The domain's name; texts of one name are one domain.
    pub domain: String,
    /// The text.
    pub text: String,
}

impl SymbioteEngine {
    /// Sends texts through the model and counts where their tokens go, telling `progress` of tokens, (so far, in all). Texts are
    /// cut into windows of the context, each read from an empty cache. Where the tokenizer starts sequences with BOS, it
    /// replaces the first token of each window. The sequence is empty then.
    pub fn coaccess(
        &mut self,
        texts: &[ProfileText],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Coaccess, EngineError> {
        let mixture = Mixture::of_archived(self.pak().archive().index(), self.config());
        let mixture = mixture.filter(|mixture| mixture.count() > 0).ok_or(CoaccessError::NoExperts)?;
        let counter = Arc::new(Mutex::new(CoaccessCounter::new(mixture)));
        let heard = Arc::clone(&counter);
        let listener = Box::new(move |routes: &Routes<'_>| lock(&heard).add(routes.chosen));
        self.hear_texts(texts, listener, &mut |text| lock(&counter).begin(&text.domain), progress)?;
        Ok(lock(&counter).finish())
    }

    /// Reads texts as [`coaccess`](Self::coaccess) does, for somebody who hears where their tokens go, and when one begins.
    pub(super) fn hear_texts(
        &mut self,
        texts: &[ProfileText],
        listener: RouteListener,
        begin: &mut dyn FnMut(&ProfileText),
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), EngineError> {
        let tokenizer = self.tokenizer()?;
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let options = EncodeOptions { add_special: true, parse_special: false };
        let encoded = texts.iter().map(|text| Ok((text, tokenizer.encode(&text.text, options)?)));
        let texts = encoded.collect::<Result<Vec<_>, EngineError>>()?;
        let before = self.swap_route_listener(Some(listener));
        let outcome = self.read_through(&texts, bos, begin, progress);
        self.swap_route_listener(before);
        outcome
    }

    /// Computes texts, window after window.
    fn read_through(
        &mut self,
        texts: &[(&ProfileText, Vec<u32>)],
        bos: Option<u32>,
        begin: &mut dyn FnMut(&ProfileText),
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), EngineError> {
        let all = texts.iter().map(|(_, tokens)| tokens.len()).sum();
        let mut done = 0;
        for (text, tokens) in texts {
            begin(text);
            for window in tokens.chunks(self.context() as usize) {
                let mut window = window.to_vec();
                window[0] = bos.unwrap_or(window[0]);
                self.truncate(0);
                for pass in window.chunks(self.batch()) {
                    self.forward(pass)?;
                    done += pass.len();
                    progress(done, all);
                }
            }
        }
        self.truncate(0);
        Ok(())
    }
}

fn lock(counter: &Mutex<CoaccessCounter>) -> MutexGuard<'_, CoaccessCounter> {
    counter.lock().unwrap_or_else(PoisonError::into_inner)
}
