"""Two forms and the page of a job: POST, redirect, and a page that asks again until there is a result."""

from typing import Any
from uuid import UUID

from celery import states
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

from django_site import own_jobs
from django_site.celery import app
from django_site.forms import AddForm, ShoutForm


class SubmitView(FormView):
    """A form whose job is the visitor's from then on."""

    template_name = "django_site/form.html"

    def form_valid(self, form: Any) -> HttpResponse:
        """Submit, and send the visitor to the job's page."""
        task_id = form.submit().id
        own_jobs.remember(self.request.session, task_id)
        return redirect("job", task_id=task_id)


class AddView(SubmitView):
    """The front page."""

    form_class = AddForm
    title = "Add"
    worker = "Taskgate's worker"


class ShoutView(SubmitView):
    """The site's own job."""

    form_class = ShoutForm
    title = "Shout"
    worker = "this site's own worker"


@never_cache
def job(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """A job's state and, when it has succeeded, its result. Raises: Http404 for any job but the visitor's own."""
    if not own_jobs.is_own(request.session, str(task_id)):
        raise Http404
    result = app.AsyncResult(str(task_id))
    state = result.state  # read once: what is final is kept
    context = {
        "task_id": task_id,
        "state": state,
        "ready": state in states.READY_STATES,
        "value": result.result if state == states.SUCCESS else None,
    }
    return render(request, "django_site/job.html", context)
