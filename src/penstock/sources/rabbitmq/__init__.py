"""RabbitMQ's queues and streams as a source."""
