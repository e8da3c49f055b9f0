"""What is expected and what fails: judged, remembered, and told once."""
