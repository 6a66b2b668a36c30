"""One run and its folder: what it begins with, who may write there, its log, figures and report, and how it goes on."""
